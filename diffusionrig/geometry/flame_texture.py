"""FLAME's two albedo spaces: the texture model of its site, and the Basel Face Model's albedo laid over FLAME."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from diffusionrig.geometry.linear_head import TEXTURE_SIZE

FILE_SIZE = 512
BYTE_RANGE = 255.0
GREY = 0.5


def albedo_space(arrays: Mapping[str, np.ndarray], components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (3 * 256 * 256,) and basis (components, 3 * 256 * 256), float32, RGB about 0..1, channels first, row 0 at v = 1.

    ``arrays`` are those of ``FLAME_texture.npz`` (``mean`` and ``tex_dir``, 0..255) or of ``FLAME_albedo_from_BFM.npz``
    (``MU`` and ``PC``, 0..1, flat). Both are 512 x 512 in the order blue, green, red. Read as DECA (Feng et al. 2021)
    reads them: every second row and column, which is its nearest-neighbour resize, and no clamping. ValueError when the
    arrays are neither.
    """
    if "tex_dir" in arrays:
        mean, basis, full = arrays["mean"], arrays["tex_dir"], BYTE_RANGE
    elif "PC" in arrays:
        mean, basis, full = arrays["MU"], arrays["PC"], 1.0
    else:
        raise ValueError(f"its arrays are {', '.join(sorted(arrays)) or 'none'} instead of mean and tex_dir, or MU and PC")
    square = (FILE_SIZE, FILE_SIZE, 3)
    if mean.size != np.prod(square) or basis.size % mean.size or basis.size // mean.size < components:
        raise ValueError(f"its mean has the shape {mean.shape} and its basis {basis.shape}, "
                         f"where {square} with at least {components} components are needed")
    step = FILE_SIZE // TEXTURE_SIZE
    mean = mean.reshape(square)[::step, ::step, ::-1]
    basis = basis.reshape(*square, -1)[::step, ::step, ::-1, :components]
    mean, basis = mean.astype(np.float32) / np.float32(full), basis.astype(np.float32) / np.float32(full)
    return mean.transpose(2, 0, 1).reshape(-1), basis.transpose(3, 2, 0, 1).reshape(components, -1)


def grey_space(components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mid grey that no coefficient changes: what EMOCA (Danecek et al. 2022) shows where no albedo space is given."""
    count = 3 * TEXTURE_SIZE**2
    return np.full(count, GREY, np.float32), np.zeros((components, count), np.float32)
