"""The networks of MediaPipe that the package carries, run by LiteRT straight from the bytes of the shipped files."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import threading
import zipfile
from collections.abc import Iterator

import numpy as np

from diffusionrig.errors import RigError
from diffusionrig.io.assets import read_asset

BUNDLE = "face_landmarker.task"
DETECTOR = "face_detector.tflite"
MESH = "face_landmarks_detector.tflite"
COEFFICIENTS = "face_blendshapes.tflite"
SEGMENTATION = "selfie_segmentation.tflite"
"""A file of its own, not a member of the bundle."""
CANONICAL = "geometry_pipeline_metadata_landmarks.binarypb"


@functools.cache
def bundle_member(name: str) -> bytes:
    """One file of the bundle, which is a zip archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(read_asset(BUNDLE))) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, KeyError) as error:
        raise RigError(f"The file assets/{BUNDLE} of this installation is damaged; install diffusionrig again."
                       ) from error


_first_lock = threading.Lock()
_spoken = False


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """LiteRT announces its CPU kernels on standard error, once per process and with no setting against it; that line
    is dropped by closing the descriptor's door while the first interpreter is made."""
    global _spoken
    with _first_lock:
        if _spoken:
            yield
            return
        _spoken = True
        try:
            kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        except OSError:  # no standard error at all: nothing to keep quiet
            yield
            return
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


class Network:
    """One interpreter of a ``.tflite`` file's bytes. Not to be shared between threads: inputs and outputs live inside it."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        with _quiet():
            from ai_edge_litert.interpreter import Interpreter

            self._interpreter = Interpreter(model_content=model, num_threads=threads)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [detail["index"] for detail in self._interpreter.get_output_details()]

    def __call__(self, values: np.ndarray) -> list[np.ndarray]:
        """Run on one float32 array of the network's input shape; copies of all outputs, in the file's order."""
        self._interpreter.set_tensor(self._input, values)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
