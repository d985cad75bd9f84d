"""Stills: requests in, results out, in batches; a source is prepared once, at its first edit, and dropped after its last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.controls import edited_code
from diffusionrig.editing.painting import OnCall, Painter
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.request import Request, Result
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.sheets import to_uint8


def draw_requests(painter: Painter, sources: Analysis, targets: Analysis | None, requests: Sequence[Request], batch_size: int,
                  sampling: Sampling, on_call: OnCall | None = None) -> Iterator[Result]:
    """Draw every request, ``batch_size`` at a time, in order; ``on_call(n)`` is told after n images took one network call.

    What is held at a time is a batch and its prepared sources, and those of sources that later requests come back to.
    """
    sources = painter.complete(sources)
    targets = None if targets is None else painter.complete(targets)
    last = {request.source: number for number, request in enumerate(requests)}
    known: dict[int, Prepared] = {}
    for start in range(0, len(requests), batch_size):
        part = requests[start:start + batch_size]
        rows = sorted({request.source for request in part} - known.keys())
        for row in rows:
            _require_face(sources, row, "source")
        if rows:
            prepared = painter.prepare(sources.rows(rows), sampling, on_call)
            known.update((row, prepared[i]) for i, row in enumerate(rows))
        yield from _draw(painter, known, targets, part, sampling, on_call)
        known = {row: one for row, one in known.items() if last[row] >= start + batch_size}


def _draw(painter: Painter, known: dict[int, Prepared], targets: Analysis | None, requests: Sequence[Request], sampling: Sampling,
          on_call: OnCall | None) -> list[Result]:
    edited = [_edited(painter, known[request.source].faces, targets, request) for request in requests]
    code, latent = FaceCode.concatenate([one for one, _ in edited]), torch.cat([one for _, one in edited])
    sources = Prepared.concatenate([known[request.source] for request in requests])
    centre = sources.faces.centre
    if any(request.steady for request in requests):
        steady = torch.tensor([request.steady for request in requests], device=centre.device)[:, None]
        centre = torch.where(steady, steady_centre(painter.head, sources.faces.code, code, centre), centre)
    painted = painter.paint(sources, code, centre, sampling, latent, on_call)
    buffers, carried, lenders = painted.condition.buffers, painted.condition.carried, painted.condition.lenders
    return [Result(image, buffers[i], code[i], request, None if carried is None else carried[i], lenders[i] if lenders else [])
            for i, (image, request) in enumerate(zip(to_uint8(painted.pictures.cpu().numpy(), -1, 1), requests))]


def steady_centre(head: HeadModel, source: FaceCode, edited: FaceCode, centre: Tensor) -> Tensor:
    """(B, 3) where FFHQ centres of ``edited`` heads lie when their poses turn about the ``centre`` (B, 3) of the ``source``, and
    expressions move the face but not the skull."""
    jaw = torch.cat([edited.pose[:, :3], source.pose[:, 3:]], 1)
    unmoved = edited.replace(expression=source.expression, pose=jaw, eyes=source.eyes)
    with torch.inference_mode():
        after, before = (ffhq_centre(head.landmarks(head.vertices(code), code)) for code in (edited, unmoved))
    return centre + (after - before)


def _edited(painter: Painter, source: Analysis, targets: Analysis | None, request: Request) -> tuple[FaceCode, Tensor]:
    """Code and latent (1, latent_dim) of one output."""
    edit, latent, target = request.edit, painter.latent(source), None
    if targets is not None and request.target is not None:
        target = targets.code[request.target]
    if edit.needs_target:
        if targets is None or request.target is None:
            raise UsageError(f"The mode {edit.name!r} needs a target.")
        _require_face(targets, request.target, "target")
        if "latent" in edit.parts:
            latent = torch.lerp(latent, painter.latent(targets[request.target]), edit.strength_of("latent"))
    return edited_code(source.code, target, edit, painter.head), latent


def _require_face(faces: Analysis, index: int, what: str) -> None:
    if not bool(faces.found[index]):
        raise RigError(f"No face was found in the {what} picture number {index}: {faces.notes[index]}")
