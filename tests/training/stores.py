"""A tiny store with stored buffers: ellipses on grounds of changing colour, enough for a network to learn something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from diffusionrig.data.records import code_arrays
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.images import png_bytes
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter

SIZE = 32
HEAD = "toy-head"


def _code(head: str) -> FaceCode:
    zero = torch.zeros(1, 4)
    return FaceCode(zero, zero, zero, torch.zeros(1, 6), torch.ones(1, 3), torch.zeros(1, 9, 3), head)


def write_store(path: Path, count: int = 12, size: int = SIZE, head: str = HEAD, head_hash: str = "abc",
                **header: object) -> Path:
    """``count`` records of ``size`` pixels; the photograph is the rendered ellipse on a coloured ground."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[0:size, 0:size] / size - 0.5
    records = []
    for i in range(count):
        centre, radius = random.uniform(-0.15, 0.15, 2), random.uniform(0.2, 0.35)
        disc = ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2).astype(np.float32)
        albedo = disc * random.uniform(0.3, 1.0, (3, 1, 1)).astype(np.float32)
        normal = disc * np.stack([columns - centre[1], centre[0] - rows, np.full_like(rows, 0.8)]).astype(np.float32)
        rendered = albedo * (0.6 + normal[:1])
        ground = random.uniform(0, 1, (3, 1, 1)).astype(np.float32)
        photo = np.where(disc > 0, rendered, ground).clip(0, 1)
        pixels = np.rint(np.moveaxis(photo, 0, -1) * 255).astype(np.uint8)
        records.append(Record(f"photo{i}.png", png_bytes(pixels), code_arrays(_code(head)), {}, np.concatenate([rendered, normal, albedo])))
    with StoreWriter(path, {"head": head, "head_hash": head_hash, "image_size": size, "encoder": "toy", "buffers": "float16",
                            **header}) as writer:
        writer.append(records)
    return path
