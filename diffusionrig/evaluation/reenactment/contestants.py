"""Who is compared with the truth: the rig's edit, and what costs nothing or cannot be passed, each as one function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from diffusionrig.editing.controls import Edit
from diffusionrig.editing.rig import Analysis
from diffusionrig.evaluation.reenactment.framing import SIDE
from diffusionrig.faces.matting import person_matte
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.sheets import to_uint8
from diffusionrig.render.carrying import carry
from diffusionrig.render.layers import split_layers
from diffusionrig.render.posing import pose_heads

SMALL = 64


@dataclass(frozen=True)
class Case:
    """One edit with all that a contestant may use, and the truth, which only a ceiling may.

    source, truth   (SIDE, SIDE, 3) uint8
    analysis, target  of both, one face each (``analysis.code``, ``.centre``)
    edit, code      what was asked for, and the source's code with it done, batch 1
    drawn           what the rig drew, at its own size, uint8
    head            the head model of the codes
    """

    source: np.ndarray
    truth: np.ndarray
    analysis: Analysis
    target: Analysis
    edit: Edit
    code: FaceCode
    drawn: np.ndarray
    head: HeadModel


@dataclass(frozen=True)
class Contestant:
    """``name`` in report and table, ``title`` on the page, what it ``means``, and how its (SIDE, SIDE, 3) uint8 picture is made.

    ``knows_truth``: a ceiling, which no edit competes with.
    """

    name: str
    title: str
    means: str
    draw: Callable[[Case], np.ndarray]
    knows_truth: bool = False


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A square picture enlarged by cubic splines, or shrunk by averaging areas; at its own side it is returned as it is."""
    if image.shape[0] == side:
        return image
    way = Image.Resampling.BICUBIC if side > image.shape[0] else Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize((side, side), way))


def drawn(case: Case) -> np.ndarray:
    return resized(case.drawn, SIDE)


def unchanged(case: Case) -> np.ndarray:
    return case.source


def small_truth(case: Case) -> np.ndarray:
    """The truth as well as SMALL pixels can show it."""
    return resized(resized(case.truth, SMALL), SIDE)


def carried(case: Case) -> np.ndarray:
    """The source's own pixels carried along by the captured mesh, no network: the reference condition's picture."""
    device = case.code.pose.device
    photo = torch.from_numpy(case.source.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(device)
    with torch.inference_mode():
        source, edited = (pose_heads(case.head, code, SIDE, case.analysis.centre) for code in (case.analysis.code, case.code))
        layers = split_layers(photo, source.buffers.alpha, person_matte(photo))
        picture = carry(case.head, photo, layers, source, edited).picture
    return to_uint8(picture[0].cpu().numpy(), -1, 1)


EDIT, SOURCE, CEILING = "edit", "source", f"truth{SMALL}"

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(EDIT, "edit", f"what the checkpoint draws, brought to {SIDE} pixels (enlarged by cubic splines)", drawn),
    Contestant(SOURCE, "unchanged source", "baseline: the source as it is, no edit at all", unchanged),
    Contestant("carried", "carried photograph", "baseline: the source's own pixels carried along by the captured mesh, no network",
               carried),
    Contestant(CEILING, f"truth at {SMALL} pixels",
               f"ceiling of any result of {SMALL} pixels: the truth averaged down to {SMALL} pixels and enlarged again",
               small_truth, knows_truth=True),
)
"""In the order of tables and pictures."""
