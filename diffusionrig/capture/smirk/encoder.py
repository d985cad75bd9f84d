"""SMIRK as an Encoder: DECA's codes, with expression and jaw by SMIRK's network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.deca.encoder import load_encoder as load_deca
from diffusionrig.capture.deca.preparing import Prepared
from diffusionrig.capture.deca.weights import filled
from diffusionrig.capture.encoder import Capture, EncoderOptions
from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.smirk.crop import cut_truncated, square_of_points
from diffusionrig.capture.smirk.networks import N_EXPRESSION, SmirkNetwork
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import user_assets
from diffusionrig.io.encoder_files import read_smirk

WEIGHTS = "SMIRK_em1.pt"
GROUP = 32
"""Crops the network sees at once on a graphics card."""


def load_encoder(head: HeadModel, device: torch.device, options: EncoderOptions) -> SmirkEncoder:
    """SMIRK over DECA, with the weights among the registered files. RigError when they are damaged or incomplete."""
    path = user_assets() / WEIGHTS
    return SmirkEncoder(load_deca(head, device, options), read_smirk(path), what=str(path))


@dataclasses.dataclass(frozen=True)
class SmirkPrepared(Prepared):
    """What DECA's network sees, and what SMIRK's does.

    smirk_crop       (3, 224, 224) float32 RGB in [0, 1]; None where the Face Landmarker finds no face
    smirk_transform  (3, 3) float32, takes pixels of the image to pixels of that crop; None likewise
    """

    smirk_crop: np.ndarray | None = None
    smirk_transform: np.ndarray | None = None


class SmirkEncoder:
    """Takes expression and jaw from SMIRK, everything else (identity, albedo, light, camera, head rotation) from DECA.

    Both are relative to the head, so that it does not matter that the two look at different squares. SMIRK's eyelids,
    identity, rotation and camera are left out: a FaceCode has no place for the first, and the others go with SMIRK's crop.
    """

    name = "SMIRK"

    def __init__(self, base: DecaEncoder, tensors: Mapping[str, Tensor], landmarker: FaceLandmarker | None = None,
                 what: str = "the weights of SMIRK") -> None:
        """``tensors`` as ``io.encoder_files.read_smirk`` gives them, ``what`` names their file."""
        self.base = base
        self.head: HeadModel = base.head
        self.device = base.device
        self.network = filled(SmirkNetwork(), tensors, what).to(self.device)
        self.landmarker = landmarker or (base.finder if isinstance(base.finder, FaceLandmarker) else FaceLandmarker())

    def encode(self, images: Sequence[np.ndarray]) -> Capture:
        """uint8 (H, W, 3) RGB images of any sizes -> Capture; where SMIRK sees no face the expression is DECA's."""
        return self.encode_prepared([self.prepare(image) for image in images])

    def prepare(self, image: np.ndarray) -> SmirkPrepared:
        """Find the face and cut it out for both; safe to call from several threads."""
        face = find_face(image, self.landmarker)
        if face is not None and self.base.finder is self.landmarker and not self.base.options.published_side:
            known = self.base.prepare(image, face.points68)
            known = dataclasses.replace(known, presence=face.presence * face.score)
        else:
            known = self.base.prepare(image)
        fields = {field.name: getattr(known, field.name) for field in dataclasses.fields(known)}
        if face is None or face.points is None:
            return SmirkPrepared(**fields)
        square = square_of_points(face.points)
        return SmirkPrepared(**fields, smirk_crop=cut_truncated(image, square),
                             smirk_transform=square.transform().astype(np.float32))

    @torch.no_grad()
    def encode_prepared(self, prepared: Sequence[SmirkPrepared]) -> Capture:
        """Capture of images that ``prepare`` has seen."""
        capture = self.base.encode_prepared(prepared)
        rows = [row for row, image in enumerate(prepared) if image.smirk_crop is not None]
        notes = [note or ("SMIRK found no face; the expression is DECA's." if seen and row not in rows else "")
                 for row, (note, seen) in enumerate(zip(capture.notes, capture.found.tolist()))]
        if not rows:
            return dataclasses.replace(capture, notes=notes)
        expression, pose = capture.code.expression.clone(), capture.code.pose.clone()
        said, jaw = self._expressions([prepared[row] for row in rows])
        expression[rows] = torch.nn.functional.pad(said, (0, expression.shape[1] - N_EXPRESSION))
        pose[rows, 3:] = jaw
        return dataclasses.replace(capture, code=capture.code.replace(expression=expression, pose=pose), notes=notes)

    def _expressions(self, prepared: Sequence[SmirkPrepared]) -> tuple[Tensor, Tensor]:
        # One at a time on the CPU, so that a code does not depend on its batch.
        size = 1 if self.device.type == "cpu" else GROUP
        crops = [image.smirk_crop for image in prepared if image.smirk_crop is not None]
        said = [self.network.expression_and_jaw(torch.from_numpy(np.stack(crops[start:start + size])).to(self.device))
                for start in range(0, len(crops), size)]
        return torch.cat([expression for expression, _ in said]), torch.cat([jaw for _, jaw in said])
