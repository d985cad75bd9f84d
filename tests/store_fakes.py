"""A small head, a quick encoder, records and published stores, to test stores with."""

from __future__ import annotations

import hashlib
import pickle
import time

import lmdb
import numpy as np
import torch
from torch import nn

from diffusionrig.capture.encoder import Capture
from diffusionrig.geometry.face_code import FaceCode, whole_frame_crop
from diffusionrig.io.images import png_bytes
from diffusionrig.io.record import Record

SIZE = 16
HEADER = {"image_size": SIZE, "head": "fake-head", "head_hash": "12", "encoder": "FAKE"}


class FakeHead(nn.Module):
    """A pyramid of five vertices whose width is the first shape coefficient."""

    name, hash = "fake-head", hashlib.sha256(b"fake").hexdigest()
    n_shape, n_expression, n_albedo = 4, 2, 1
    expression_names = ("jawOpen", "mouthSmileLeft")

    def __init__(self) -> None:
        super().__init__()
        base = torch.tensor([[-.1, -.1, 0], [.1, -.1, 0], [.1, .1, 0], [-.1, .1, 0], [0, 0, .1]])
        self.register_buffer("template", base)
        self.register_buffer("faces", torch.tensor([[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]]))
        self.register_buffer("uv", torch.tensor([[0., 0], [1, 0], [1, 1], [0, 1], [.5, .5]]))
        self.regions: dict[str, torch.Tensor] = {}

    @property
    def uv_faces(self) -> torch.Tensor:
        return self.faces

    def vertices(self, code: FaceCode) -> torch.Tensor:
        return self.template * (1 + 0.2 * code.shape[:, :1, None])

    def landmarks(self, vertices: torch.Tensor, code: FaceCode) -> torch.Tensor:
        return vertices[:, 4:5].expand(-1, 68, -1)

    def texture(self, albedo: torch.Tensor) -> torch.Tensor:
        return (0.5 + 0.1 * albedo[:, :, None, None]).expand(-1, 3, 256, 256)


class FakeEncoder:
    """Codes made from the mean colour; black pictures have no face, dark ones a low confidence."""

    name = "FAKE"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.seen = seconds, 0

    def encode(self, images) -> Capture:
        time.sleep(self.seconds)
        self.seen += len(images)
        colours = torch.tensor(np.stack([image.reshape(-1, 3).mean(0) / 255 for image in images]), dtype=torch.float32)
        batch = len(images)
        code = make_code(1).repeat(batch)
        frame = torch.tensor([[image.shape[1], image.shape[0]] for image in images], dtype=torch.float32)
        code = code.replace(shape=torch.cat([colours, colours[:, :1]], 1), confidence=colours.mean(1) * 2,
                            frame=frame, crop=whole_frame_crop(frame))
        return Capture(code, colours.sum(1) > 0.01, ["" for _ in images])


def make_code(batch: int, seed: int = 0) -> FaceCode:
    generator = torch.Generator().manual_seed(seed)
    light = torch.zeros(batch, 9, 3)
    light[:, 0] = 3
    return FaceCode(shape=torch.randn(batch, 4, generator=generator), albedo=torch.randn(batch, 1, generator=generator),
                    expression=torch.rand(batch, 2, generator=generator), pose=torch.zeros(batch, 6),
                    camera=torch.tensor([[7.0, 0, 0]]).repeat(batch, 1), light=light, head="fake-head")


def picture(seed: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def make_buffers(seed: int = 0, size: int = SIZE) -> np.ndarray:
    buffers = np.random.default_rng(seed).uniform(-1.0, 1.4, (9, size, size)).astype(np.float32)
    buffers[:, : size // 3] = 0.0
    return buffers


def record(seed: int, buffers: np.ndarray | None = None) -> Record:
    random = np.random.default_rng(seed)
    arrays = {"shape": random.normal(size=5).astype(np.float32), "light": random.normal(size=(9, 3)).astype(np.float32)}
    return Record(f"album/{seed}.png", png_bytes(picture(seed)), arrays, {"number": seed, "name": "Zoë"}, buffers)


def publish(folder, count=3, change=None):
    """A store as the published create_data.py writes it."""
    with lmdb.open(str(folder), map_size=1 << 26) as environment:
        for i in range(count):
            with environment.begin(write=True) as transaction:
                transaction.put(b"image_%06d" % i, png_bytes(picture(i)))
                for part, planes in zip(("rendered", "normal", "albedo"), torch.from_numpy(make_buffers(i)).split(3)):
                    transaction.put(f"{part}_{i:06d}".encode(), pickle.dumps(planes))
        with environment.begin(write=True) as transaction:
            transaction.put(b"length", str(count).encode())
            if change:
                change(transaction)
    return folder
