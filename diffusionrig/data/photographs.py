"""Reading photographs for a store, a few ahead of the capture that needs them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

import numpy as np

from diffusionrig.data.sources import Labels, Source
from diffusionrig.errors import RigError
from diffusionrig.io.images import png_bytes, read_image
from diffusionrig.io.resize import resize_square

CAPTURE_SIDE = 512
"""Photographs are captured at up to this size, whatever the size they are stored in: small pictures have poor landmarks."""

PNG_LEVEL = 6
"""Stored once and read often: worth twice the time of the usual level."""


@dataclasses.dataclass
class Photograph:
    """capture  (H, H, 3) uint8 for the encoder, or what its ``prepare`` made of it; None when the file cannot be read
    stored   PNG file for the store
    fields   labels, and a note when the picture was not square
    failure  why the file cannot be read
    """

    source: Source
    capture: Any = None
    stored: bytes = b""
    fields: dict[str, Any] = dataclasses.field(default_factory=dict)
    failure: str = ""


def read_photograph(source: Source, labels: Labels, size: int, max_megapixels: float,
                    prepare: Callable[[np.ndarray], Any] | None = None) -> Photograph:
    """Read ``source``, to be stored with side ``size``; of a picture that is not square the centred square is taken.

    ``prepare`` is an encoder's share of the work on a single picture, done here and at the picture's full size.
    """
    try:
        fields = labels.of(source)
        image = read_image(source.path, max_megapixels)
        height, width = image.shape[:2]
        if height != width:
            fields["note"] = f"{width} x {height} pixels: the centred square was taken"
        square = resize_square(image)
        if prepare is not None:
            capture = prepare(square)
        else:
            capture = square if square.shape[0] <= CAPTURE_SIDE else resize_square(square, CAPTURE_SIDE)
        return Photograph(source, capture, png_bytes(resize_square(square, size), level=PNG_LEVEL), fields)
    except RigError as error:
        return Photograph(source, failure=str(error))


class ReadAhead:
    """Reads ``sources`` in order on ``workers`` threads, at most ``depth`` ahead of the one taken next."""

    def __init__(self, sources: Sequence[Source], read: Callable[[Source], Photograph], workers: int, depth: int) -> None:
        self._read, self._depth = read, depth
        self._sources = collections.deque(sources)
        self._waiting: collections.deque[Future[Photograph]] = collections.deque()
        self._pool = ThreadPoolExecutor(max(1, workers), "read")

    def take(self) -> Photograph:
        """The next photograph."""
        while self._sources and len(self._waiting) < self._depth:
            self._waiting.append(self._pool.submit(self._read, self._sources.popleft()))
        return self._waiting.popleft().result()

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
