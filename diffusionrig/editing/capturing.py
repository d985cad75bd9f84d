"""The seeing half of a rig: a photograph becomes an Analysis. It needs no network, so anyone can have it without a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import Encoder, EncoderOptions
from diffusionrig.capture.registry import best_encoder, make_encoder
from diffusionrig.devices import resolve_device
from diffusionrig.editing.analysis import Analysis
from diffusionrig.errors import UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.images import read_image
from diffusionrig.io.resize import resize_square

Photo = str | Path | np.ndarray

USUAL_SIZE = 256


class Capturing:
    """Captures the faces of photographs as codes of a head model.

    >>> capturing = Capturing(encoder="FIT", device="cpu")
    >>> portrait = capturing.capture("diffusionrig/assets/portrait.jpg")
    >>> tuple(portrait.images.shape), bool(portrait.found[0]), portrait.latent is None
    ((1, 3, 256, 256), True, True)
    """

    def __init__(self, head: str = DEFAULT_HEAD, encoder: str | None = None, device: torch.device | str = "auto",
                 size: int = USUAL_SIZE, landmarks: str = "mediapipe") -> None:
        """``encoder`` by its name, by default the best that knows the ``head``; ``size`` is the side of the images kept;
        ``landmarks`` (a name of ``faces.backends.BACKENDS``) says who finds the faces that DECA and EMOCA look at."""
        self.device = resolve_device(str(device))
        self.head: HeadModel = copy.deepcopy(load_head(head)).to(self.device)
        self.size = size
        self._encoder_name = encoder
        self._options = EncoderOptions.as_published(size, landmarks)
        self._encoders: dict[str, Encoder] = {}

    def encoder(self, name: str | None = None) -> Encoder:
        """The named encoder (made once), by default the usual one, else the best that knows the head."""
        word = name or self._encoder_name or best_encoder(self.head.name)
        if word not in self._encoders:
            self._encoders[word] = make_encoder(word, self.head, self.device, self._options)
        return self._encoders[word]

    def capture(self, photos: Photo | Sequence[Photo], encoder: str | None = None) -> Analysis:
        """Analyse aligned photographs: paths or (H, W, 3) uint8 arrays.

        Non-square pictures are cropped about their centre. A picture without a face is not an error here: ``found`` says so.
        """
        listed = [photos] if isinstance(photos, (str, Path, np.ndarray)) else list(photos)
        if not listed:
            raise UsageError("No photograph was given to capture.")
        arrays = [photo if isinstance(photo, np.ndarray) else read_image(photo) for photo in listed]
        captured = self.encoder(encoder).encode([resize_square(array) for array in arrays])
        small = np.stack([resize_square(array, self.size) for array in arrays])
        return self._analysis(torch.from_numpy(small), captured.code, captured.found, captured.notes)

    def analyse(self, images: Tensor, code: FaceCode) -> Analysis:
        """An Analysis from images (B, S, S, 3) uint8 whose codes are already known (a store's, or the truth)."""
        return self._analysis(images, code, torch.ones(len(code), dtype=torch.bool), [""] * len(code))

    def _analysis(self, images: Tensor, code: FaceCode, found: Tensor, notes: list[str]) -> Analysis:
        code = code.to(self.device, torch.float32)
        scaled = images.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            centre = ffhq_centre(self.head.landmarks(self.head.vertices(code), code))
        return Analysis(scaled, code, centre, found, notes)
