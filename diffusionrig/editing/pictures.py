"""Stills: requests in, results out, in batches; a source is prepared once, at its first edit, and dropped after its last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.conditions import Seen
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
        yield from draw_prepared(painter, known, targets, part, sampling, on_call)
        known = {row: one for row, one in known.items() if last[row] >= start + batch_size}


def draw_prepared(painter: Painter, known: Mapping[int, Prepared], targets: Analysis | None, requests: Sequence[Request],
                  sampling: Sampling, on_call: OnCall | None = None) -> list[Result]:
    """Draw ``requests`` together, whose sources are ``known`` by their numbers."""
    sources, code, latent, centre = _posed(painter, known, targets, requests)
    painted = painter.paint(sources, code, centre, sampling, latent, on_call)
    condition = painted.condition
    return [_result(i, image, code, condition, request)
            for i, (image, request) in enumerate(zip(to_uint8(painted.pictures.cpu().numpy(), -1, 1), requests))]


def preview_prepared(painter: Painter, known: Mapping[int, Prepared], targets: Analysis | None,
                     requests: Sequence[Request]) -> list[Result]:
    """What ``draw_prepared`` draws on, without the network: as images the carried photographs, or, of a model that draws from
    buffers, the sources with the rendered heads before them."""
    sources, code, _, centre = _posed(painter, known, targets, requests)
    condition = painter.preview(sources, code, centre)
    carried, buffers = condition.carried, condition.buffers
    shown = torch.lerp(sources.faces.images, buffers.rendered * 2 - 1, buffers.alpha) if carried is None else carried.picture
    return [_result(i, image, code, condition, request)
            for i, (image, request) in enumerate(zip(to_uint8(shown.cpu().numpy(), -1, 1), requests))]


def _posed(painter: Painter, known: Mapping[int, Prepared], targets: Analysis | None,
           requests: Sequence[Request]) -> tuple[Prepared, FaceCode, Tensor, Tensor]:
    """Sources, edited codes, latents and centres of ``requests``, row by row."""
    edited = [_edited(painter, known[request.source].faces, targets, request) for request in requests]
    code, latent = FaceCode.concatenate([one for one, _ in edited]), torch.cat([one for _, one in edited])
    sources = Prepared.concatenate([known[request.source] for request in requests])
    centre = sources.faces.centre
    if any(request.steady for request in requests):
        steady = torch.tensor([request.steady for request in requests], device=centre.device)[:, None]
        centre = torch.where(steady, steady_centre(painter.head, sources.faces.code, code, centre), centre)
    return sources, code, latent, centre


def _result(row: int, image: np.ndarray, code: FaceCode, condition: Seen, request: Request) -> Result:
    carried, lenders, buffers = condition.carried, condition.lenders, condition.buffers
    if len(code) > 1:
        buffers, code, carried = buffers[row], code[row], None if carried is None else carried[row]
    return Result(image, buffers, code, request, carried, lenders[row] if lenders else [])


def steady_centre(head: HeadModel, source: FaceCode, edited: FaceCode, centre: Tensor) -> Tensor:
    """(B, 3) where FFHQ centres of ``edited`` heads lie when their poses turn about the ``centre`` (B, 3) of the ``source``, and
    expressions move the face but not the skull."""
    if all(torch.equal(getattr(edited, name), getattr(source, name)) for name in ("expression", "eyes")) and torch.equal(
            edited.pose[:, 3:], source.pose[:, 3:]):
        return centre  # nothing in the face moves
    jaw = torch.cat([edited.pose[:, :3], source.pose[:, 3:]], 1)
    unmoved = edited.replace(expression=source.expression, pose=jaw, eyes=source.eyes)
    with torch.inference_mode():
        both = FaceCode.concatenate([edited, unmoved])
        after, before = ffhq_centre(head.landmarks(head.vertices(both), both)).chunk(2)
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
