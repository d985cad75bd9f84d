"""The Fréchet distance between two clouds of features, each taken for a normal distribution, in float64."""

from __future__ import annotations

import numpy as np

from diffusionrig.errors import RigError


def frechet_distance(real: np.ndarray, made: np.ndarray) -> float:
    """|m_r - m_m|^2 + tr(S_r + S_m - 2 (S_r S_m)^(1/2)) of features ``real`` (n, D) and ``made`` (m, D), covariances with ddof 1.

    The trace of the root comes from the eigenvalues of S_r^(1/2) S_m S_r^(1/2), which is symmetric: no complex numbers and no
    small constant on the diagonal, also with fewer pictures than features.
    """
    for name, cloud in (("real", real), ("made", made)):
        if cloud.ndim != 2 or len(cloud) < 2 or not np.isfinite(cloud).all():
            raise RigError(f"The {name} features have the shape {cloud.shape}, but at least two finite rows are needed; give more "
                           "pictures.")
    if real.shape[1] != made.shape[1]:
        raise RigError(f"The real features have {real.shape[1]} columns and the made ones {made.shape[1]}; both must come from the "
                       "same network.")
    first, second = (np.asarray(cloud, np.float64) for cloud in (real, made))
    between = np.square(first.mean(0) - second.mean(0)).sum()
    # The nonzero eigenvalues are the squared singular values of the product of the two centred clouds, so no D x D root is taken.
    a, b = ((cloud - cloud.mean(0)) / np.sqrt(len(cloud) - 1) for cloud in (first, second))
    roots = np.linalg.svd(a @ b.T if len(a) * len(b) <= a.shape[1] ** 2 else _root(a) @ _root(b), compute_uv=False)
    return float(max(between + np.square(a).sum() + np.square(b).sum() - 2 * roots.sum(), 0.0))


def _root(cloud: np.ndarray) -> np.ndarray:
    """The symmetric root (D, D) of a centred cloud's covariance."""
    values, vectors = np.linalg.eigh(cloud.T @ cloud)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
