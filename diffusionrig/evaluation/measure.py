"""Evaluating a checkpoint: draw edits, capture them again, compare with what was asked for and with the truth."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.identity.embedding import IdentityEmbedding
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.rig import Request, Result, Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.evaluation.control import UNITS, control_errors
from diffusionrig.evaluation.material import Material, Truth
from diffusionrig.evaluation.perception import LEAST_SIDE, Lpips
from diffusionrig.evaluation.regions import background
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.image_metrics import MOST_PSNR, psnr, ssim
from diffusionrig.io.sheets import to_uint8
from diffusionrig.progress import Progress, track
from diffusionrig.render.buffers import PhysicalBuffers

EDIT, TRUTH, SOURCE, BUFFER, TARGET = "edit", "truth", "source", "buffer", "target"
CANDIDATES = (EDIT, TRUTH, SOURCE, BUFFER)
"""What is measured: the edit; the true photograph, whose error is the encoder's own (the floor); and two baselines, the
unchanged source and the bare rendered buffer."""

CAPTURED_TOGETHER = 16


@dataclasses.dataclass
class Measured:
    """One edit: ``images`` (S, S, 3) uint8 by candidate (and ``target``), and what was measured.

    control     {candidate: {part: error}} in the units of control.UNITS; None where no face was found
    identity    {edit, truth, target: cosine with the source}; None likewise
    quality     {candidate: {psnr, ssim, lpips}} against the truth
    background  {edit, truth: mean absolute difference from the source in grey levels}; None where heads cover everything
    """

    mode: str
    row: int
    source: str
    target: str
    images: dict[str, np.ndarray]
    control: dict[str, dict[str, float] | None] = dataclasses.field(default_factory=dict)
    identity: dict[str, float | None] = dataclasses.field(default_factory=dict)
    quality: dict[str, dict[str, float | None]] = dataclasses.field(default_factory=dict)
    background: dict[str, float | None] = dataclasses.field(default_factory=dict)

    @property
    def parts(self) -> list[str]:
        """The parts that the mode changes and that can be measured."""
        return [part for part in self.mode.split("+") if part in UNITS]

    def numbers(self) -> dict[str, Any]:
        """Everything but the pictures, for JSON."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "images"}


@dataclasses.dataclass(frozen=True)
class Instruments:
    """How pictures are looked at: the embedding (None leaves identity out), LPIPS where its files were given."""

    identity: IdentityEmbedding | None = None
    lpips: Lpips | None = None


def evaluate(rig: Rig, material: Material, edits: Sequence[Edit], sampling: Sampling, tools: Instruments,
             batch_size: int = 4) -> tuple[list[Measured], dict[str, float]]:
    """Every pair in every mode, in that order, and how long drawing took: {seconds, seconds_per_edit}."""
    requests = [Request(row, row, edit) for row in range(len(material)) for edit in edits]
    calls = len(requests) * rig.calls(sampling) + len(material) * rig.inversion_calls(sampling)
    began = time.monotonic()
    with Progress(calls, "draw", "call") as progress:
        results = list(rig.edit_many(material.sources, material.targets, requests, batch_size=batch_size, sampling=sampling,
                                     on_call=progress.update))
    seconds = time.monotonic() - began
    truths = _truths(material, requests)
    sources = [to_uint8(image.cpu().numpy(), -1, 1) for image in material.sources.images]
    targets = [to_uint8(image.cpu().numpy(), -1, 1) for image in material.targets.images]
    measured = []
    for result, truth in zip(results, truths):
        row = result.request.source
        images = {SOURCE: sources[row], TARGET: targets[row], BUFFER: to_uint8(result.buffers.rendered[0].cpu().numpy()),
                  EDIT: result.image}
        if truth is not None:
            images[TRUTH] = truth.image
        item = Measured(result.request.edit.name, row, *material.names[row], images)
        if truth is not None:
            item.quality = _quality(images, truth, tools.lpips)
        measured.append(item)
    _measure_control(rig, measured, results, sources)
    _measure_background(rig, material, measured, results)
    if tools.identity is not None:
        _measure_identity(tools.identity, measured, sources, targets)
    return measured, {"seconds": round(seconds, 2), "seconds_per_edit": round(seconds / len(results), 4)}


def _truths(material: Material, requests: Sequence[Request]) -> list[Truth | None]:
    truth = material.truth
    if truth is None:
        return [None] * len(requests)
    return [truth(request.source, request.edit.parts) for request in track(requests, "photograph the truth")]


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]


def _quality(images: dict[str, np.ndarray], truth: Truth, lpips: Lpips | None) -> dict[str, dict[str, float | None]]:
    """PSNR and SSIM on the face, LPIPS of the whole picture."""
    reference, face = _tensor(truth.image), truth.face[None, None]
    found: dict[str, dict[str, float | None]] = {}
    for name in (EDIT, SOURCE, BUFFER):
        image = _tensor(images[name])
        seen = lpips is not None and min(image.shape[-2:]) >= LEAST_SIDE
        found[name] = {"psnr": min(psnr(image, reference, face).item(), MOST_PSNR), "ssim": ssim(image, reference, face).item(),
                       "lpips": lpips(image, reference).item() if lpips is not None and seen else None}
    return found


def _measure_control(rig: Rig, measured: Sequence[Measured], results: Sequence[Result], sources: Sequence[np.ndarray]) -> None:
    """Capture edits, truths and buffers of all, and each source once."""
    encoder = rig.encoder()
    places = [(number, name) for number, item in enumerate(measured) for name in (EDIT, TRUTH, BUFFER) if name in item.images]
    pictures = [measured[number].images[name] for number, name in places] + list(sources)
    codes: list[FaceCode | None] = []
    for start in track(range(0, len(pictures), CAPTURED_TOGETHER), "capture again", unit="batch"):
        capture = encoder.encode(pictures[start:start + CAPTURED_TOGETHER])
        found = capture.code.to(rig.device, torch.float32)
        codes += [found[i] if seen else None for i, seen in enumerate(capture.found.tolist())]

    def note(number: int, name: str, code: FaceCode | None) -> None:
        measured[number].control[name] = None if code is None else {
            part: error.item() for part, error in control_errors(rig.head, code, results[number].code).items()}

    for (number, name), code in zip(places, codes):
        note(number, name, code)
    for number, item in enumerate(measured):
        note(number, SOURCE, codes[len(places) + item.row])


def _measure_background(rig: Rig, material: Material, measured: Sequence[Measured], results: Sequence[Result]) -> None:
    heads: dict[int, PhysicalBuffers] = {}
    for item, result in zip(measured, results):
        if item.row not in heads:
            source = material.sources[item.row]
            heads[item.row] = rig.buffers(source.code, source.centre)
        outside = background(heads[item.row].alpha, result.buffers.alpha)[0, 0].cpu().numpy() > 0
        for name in (EDIT, TRUTH):
            if name in item.images:
                apart = np.abs(item.images[name].astype(float) - item.images[SOURCE])[outside]
                item.background[name] = float(apart.mean()) if apart.size else None


def _measure_identity(identity: IdentityEmbedding, measured: Sequence[Measured], sources: Sequence[np.ndarray],
                      targets: Sequence[np.ndarray]) -> None:
    """Cosines with the source: of the edit, of the true photograph (the same person), of the target (as a rule another)."""
    known: dict[tuple[str, int], Tensor] = {}

    def row(name: str, index: int, image: np.ndarray) -> Tensor:
        if (name, index) not in known:
            known[name, index] = identity.embed([image])[0]
        return known[name, index]

    for number, item in enumerate(track(measured, "compare identities")):
        own = row(SOURCE, item.row, sources[item.row])
        others = {EDIT: row(EDIT, number, item.images[EDIT]), TARGET: row(TARGET, item.row, targets[item.row])}
        if TRUTH in item.images:
            others[TRUTH] = row(TRUTH, number, item.images[TRUTH])
        item.identity = {name: float(own @ other) if bool(own.any()) and bool(other.any()) else None
                         for name, other in others.items()}
