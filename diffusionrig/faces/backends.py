"""Who finds the faces: the shipped Face Landmarker, or dlib or FAN where their packages are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Protocol

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.face import Face


class FaceFinder(Protocol):
    """What every backend offers; safe to call from several threads."""

    def detect(self, image: np.ndarray, min_face: float = 40.0, thorough: bool = False) -> list[Face]:
        """All faces in an (H, W, 3) uint8 RGB picture, best first; ``points68`` is always filled."""
        ...


def _mediapipe() -> FaceFinder:
    from diffusionrig.faces.landmarker import FaceLandmarker

    return FaceLandmarker()


def _dlib() -> FaceFinder:
    _need(("dlib", "face_recognition_models"), "dlib")
    from diffusionrig.faces.dlib_backend import DlibFinder

    return DlibFinder()


def _fan() -> FaceFinder:
    _need(("face_alignment",), "fan")
    from diffusionrig.faces.fan_backend import FanFinder

    return FanFinder()


BACKENDS: dict[str, Callable[[], FaceFinder]] = {"mediapipe": _mediapipe, "dlib": _dlib, "fan": _fan}


def make_finder(name: str = "mediapipe") -> FaceFinder:
    """The backend called ``name``. UsageError for an unknown name; RigError naming the extra or the file it lacks."""
    if name not in BACKENDS:
        raise UsageError(f"There is no face detector {name!r}; choose one of {', '.join(BACKENDS)}.")
    return BACKENDS[name]()


def _need(modules: tuple[str, ...], extra: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise RigError(f"The face detector {extra} needs the package {module}; "
                           f'install it with pip install "diffusionrig[{extra}]".')
