"""Scoring edits against the truth, beside two baselines: the source left as it is, and the rendered buffer by itself."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.demo.people import Cast, true_edit
from diffusionrig.errors import RigError
from diffusionrig.faces.alignment import align
from diffusionrig.faces.face import Face
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.image_metrics import psnr, ssim
from diffusionrig.io.images import read_image
from diffusionrig.io.resize import resize_square

CANDIDATES = ("edit", "carried photograph", "unchanged source", "rendered buffer")
BASELINES = CANDIDATES[2:]


@dataclasses.dataclass(frozen=True)
class Scored:
    """One edit with its truth: images (S, S, 3) uint8 and, per candidate, PSNR in dB and SSIM on the face."""

    mode: str
    source: np.ndarray
    target: np.ndarray
    truth: np.ndarray
    rendered: np.ndarray
    carried: np.ndarray
    result: np.ndarray
    psnr: dict[str, float]
    ssim: dict[str, float]


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _largest_face(photo: np.ndarray, landmarker: FaceLandmarker, name: str) -> Face:
    faces = landmarker.detect(photo)
    if not faces:
        raise RigError(f"No face was found in {name} again, although it was aligned before.")
    return faces[0]


def score_edits(cast: Cast, photos: Path, aligned: Path, edits: Path, entries: Sequence[dict[str, Any]], size: int) -> list[Scored]:
    """Score every entry of an edit report whose mode is one code part.

    The true photograph is cut out by the very square that alignment cut from the source, then brought to ``size``.
    """
    landmarker = FaceLandmarker()
    scored = []
    for entry in entries:
        if entry["mode"] not in {"pose", "exp", "light"}:
            continue
        source, target = Path(entry["source"]).stem, Path(entry["target"]).stem
        photo = read_image(photos / "sources" / f"{source}.png")
        points = _largest_face(photo, landmarker, source).points68
        truth, region = true_edit(cast, int(source), int(target), entry["mode"])
        truth = resize_square(align(truth, points, 256).image, size)
        mask = align(np.repeat((region.numpy() * 255).astype(np.uint8)[..., None], 3, 2), points, 256).image
        weight = _tensor(resize_square(mask, size))[:, :1]
        images = {"edit": read_image(edits / entry["file"]), "carried photograph": read_image(edits / entry["buffers"]["carried"]),
                  "unchanged source": resize_square(read_image(aligned / "sources" / f"{source}.png"), size),
                  "rendered buffer": read_image(edits / entry["buffers"]["rendered"])}
        reference = _tensor(truth)
        scored.append(Scored(
            entry["mode"], images["unchanged source"], resize_square(read_image(aligned / "targets" / f"{target}.png"), size),
            truth, images["rendered buffer"], images["carried photograph"], images["edit"],
            {name: psnr(_tensor(image), reference, weight).item() for name, image in images.items()},
            {name: ssim(_tensor(image), reference, weight).item() for name, image in images.items()}))
    return scored


def summarise(scored: Sequence[Scored]) -> dict[str, dict[str, dict[str, float]]]:
    """Means per mode: {mode: {"psnr": {candidate: dB}, "ssim": {candidate: value}}}, with the number of edits."""
    groups: dict[str, list[Scored]] = defaultdict(list)
    for item in scored:
        groups[item.mode].append(item)
    return {mode: {"psnr": {name: round(mean(item.psnr[name] for item in items), 2) for name in CANDIDATES},
                   "ssim": {name: round(mean(item.ssim[name] for item in items), 4) for name in CANDIDATES},
                   "edits": {"count": len(items)}} for mode, items in groups.items()}


def wins(summary: dict[str, dict[str, dict[str, float]]]) -> dict[str, bool]:
    """Per mode, whether the edit beats both baselines in PSNR and SSIM."""
    return {mode: all(values[measure]["edit"] > values[measure][other] for measure in ("psnr", "ssim")
                      for other in BASELINES) for mode, values in summary.items()}
