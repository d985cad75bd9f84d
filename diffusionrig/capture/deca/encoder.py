"""DECA as an Encoder: photographs -> codes of the head FLAME 2020, and codes of their wrinkles."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.deca.agreement import landmark_error, trust
from diffusionrig.capture.deca.detail import DetailDecoder
from diffusionrig.capture.deca.heads import N_DETAIL, N_OUTPUTS, DecaCode, Regressor, split
from diffusionrig.capture.deca.preparing import Prepared, prepare
from diffusionrig.capture.deca.weights import coarse_network, detail_networks
from diffusionrig.capture.encoder import FLAG_BELOW, Capture, EncoderOptions
from diffusionrig.faces.backends import FaceFinder, make_finder
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import user_assets
from diffusionrig.io.encoder_files import read_deca

WEIGHTS = "deca_model.tar"
GROUP = 16
"""Images the network sees at once on a graphics card."""


def load_encoder(head: HeadModel, device: torch.device, options: EncoderOptions) -> DecaEncoder:
    """DECA with the weights in the folder of registered files. RigError when they are damaged or incomplete."""
    path = user_assets() / WEIGHTS
    return DecaEncoder(head, read_deca(path), device, options, what=str(path))


@dataclasses.dataclass(frozen=True)
class DetailCapture:
    """capture  as of ``encode``
    detail   (B, 128) codes of wrinkles, on the encoder's device; what a FaceCode has no place for
    """

    capture: Capture
    detail: Tensor


class DecaEncoder:
    """Feeds a face's 224-pixel crop to DECA's network and keeps its numbers as they come.

    On the CPU the network sees one image at a time, which there costs nothing, so a code does not depend on its batch by
    a single bit. On a graphics card it sees GROUP at once, and codes may differ in the last bits (1e-5).
    """

    name = "DECA"

    def __init__(self, head: HeadModel, states: Mapping[str, Mapping[str, Tensor]], device: torch.device | str = "cpu",
                 options: EncoderOptions | None = None, finder: FaceFinder | None = None, jaw_type: str = "aa",
                 what: str = "the weights of DECA") -> None:
        """``states`` are the networks' tensors as ``io.encoder_files.read_deca`` gives them, ``what`` names their file."""
        self.device = torch.device(device)
        self.group = 1 if self.device.type == "cpu" else GROUP
        self.options = options or EncoderOptions()
        self.finder = finder or make_finder(self.options.landmarks)
        self.jaw_type = jaw_type
        self.network: Regressor = coarse_network(states, what).to(self.device)
        self.head: HeadModel = copy.deepcopy(head).to(self.device)
        self._make_details = partial(detail_networks, states, what)
        self._details: tuple[Regressor, DetailDecoder] | None = None

    def encode(self, images: Sequence[np.ndarray]) -> Capture:
        """uint8 (H, W, 3) RGB images of any sizes -> Capture; the large face nearest the middle counts.

        Where there is none the code is that of the whole image, with confidence 0, and ``found`` is False.
        """
        return self.encode_prepared([self.prepare(image) for image in images])

    def prepare(self, image: np.ndarray, points: np.ndarray | None = None) -> Prepared:
        """Find the face and cut it out; safe to call from several threads. ``points`` (68, 2): landmarks known already."""
        return prepare(image, self.finder, self.options.published_side, points)

    @torch.no_grad()
    def encode_prepared(self, prepared: Sequence[Prepared]) -> Capture:
        """Capture of images that ``prepare`` has seen."""
        codes = [self._code(part, self.answers(crops)) for part, crops in self._groups(prepared)]
        code = FaceCode.concatenate(codes) if codes else self._code([], split(torch.zeros(0, N_OUTPUTS, device=self.device)))
        found = torch.tensor([image.points is not None for image in prepared], dtype=torch.bool)
        notes = ["No face was found; the whole picture was encoded." if not seen else
                 f"The code is doubtful (confidence {sure:.2f})." if sure < FLAG_BELOW else ""
                 for seen, sure in zip(found.tolist(), code.confidence.tolist())]
        return Capture(code, found, notes)

    def answers(self, crops: Tensor) -> DecaCode:
        """Crops (B, 3, 224, 224) in [0, 1], on the encoder's device -> what the network says of each."""
        return split(self.network(crops), self.jaw_type)

    @torch.no_grad()
    def encode_detail(self, images: Sequence[np.ndarray]) -> DetailCapture:
        """As ``encode``, with the detail codes that ``displacements`` turns into wrinkles."""
        prepared = [self.prepare(image) for image in images]
        encoder, _ = self.detail_networks()
        details = [encoder(crops) for _, crops in self._groups(prepared)]
        detail = torch.cat(details) if details else torch.zeros(0, N_DETAIL, device=self.device)
        return DetailCapture(self.encode_prepared(prepared), detail)

    @torch.no_grad()
    def displacements(self, code: FaceCode, detail: Tensor) -> Tensor:
        """Displacements (B, 1, 256, 256) of the skin along its normal, metres, in texture space, for the expression and jaw
        of ``code`` and the wrinkles ``detail`` (B, 128)."""
        _, decoder = self.detail_networks()
        return decoder(code.pose[:, 3:], code.expression[:, :50], detail)

    def detail_networks(self) -> tuple[Regressor, DetailDecoder]:
        """The network of the detail code and the decoder, made when they are first asked for."""
        if self._details is None:
            encoder, decoder = self._make_details()
            self._details = encoder.to(self.device), decoder.to(self.device)
        return self._details

    def _groups(self, prepared: Sequence[Prepared]) -> list[tuple[Sequence[Prepared], Tensor]]:
        parts = [prepared[start:start + self.group] for start in range(0, len(prepared), self.group)]
        return [(part, torch.from_numpy(np.stack([image.crop for image in part])).to(self.device)) for part in parts]

    def _code(self, images: Sequence[Prepared], answers: DecaCode) -> FaceCode:
        like = answers.pose
        crop = like.new_tensor(np.stack([image.transform for image in images])) if images else like.new_zeros(0, 3, 3)
        frame = like.new_tensor([image.frame for image in images]).reshape(-1, 2)
        code = FaceCode(shape=_widened(answers.shape, self.head.n_shape), albedo=_widened(answers.tex, self.head.n_albedo),
                        expression=_widened(answers.exp, self.head.n_expression), pose=answers.pose, camera=answers.cam,
                        light=answers.light, crop=crop, frame=frame, head=self.head.name)
        if not images:
            return code
        error = landmark_error(self.head, code, [image.points for image in images])
        return code.replace(confidence=trust(like.new_tensor([image.presence for image in images]), error))


def _widened(coefficients: Tensor, count: int) -> Tensor:
    """(B, n) with zeros up to ``count``: a head may have further coefficients, which this encoder leaves at the mean."""
    return torch.nn.functional.pad(coefficients, (0, count - coefficients.shape[1]))
