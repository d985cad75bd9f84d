"""A face store as numbered samples: photograph, face code and, where the store keeps them, rendered buffers."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.identity import StoreIdentity, picture_marks
from diffusionrig.data.records import code_from_arrays
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.png import decode_png
from diffusionrig.io.store import open_store


@dataclasses.dataclass
class Sample:
    """image    (3, S, S) uint8 RGB
    code     FaceCode of batch 1; None in published stores
    buffers  (9, S, S) float32 rendered, normal, albedo; None when they are to be rendered from the code
    fields   labels and notes of the record
    source   where the photograph came from
    """

    image: Tensor
    code: FaceCode | None
    buffers: Tensor | None
    fields: dict[str, Any]
    source: str


class FaceStoreDataset:
    """The records of a store, ours or a published one, by index; usable from threads and from other processes.

    ``image_size``: None keeps the stored size; a smaller one shrinks pictures and stored buffers with an area filter.
    ``head``: the head model the codes are to be rendered with; another one than made them is refused.
    """

    def __init__(self, path: str | Path, image_size: int | None = None, head: HeadModel | None = None) -> None:
        self._store = open_store(path)
        self.path = self._store.path
        self._records: Sequence[int] = range(len(self._store))
        self.header = self._store.header
        self.stored_size: int = self.header["image_size"]
        self.image_size = image_size or self.stored_size
        if not len(self._store):
            raise RigError(f"The store {self.path} is empty; run create-data on a folder of photographs first.")
        if self.image_size > self.stored_size:
            raise UsageError(f"The store {self.path} holds images of {self.stored_size} pixels, too small for "
                             f"--image_size {self.image_size}; give {self.stored_size} or less, or create the store "
                             "again.")
        self.has_codes: bool = self.header["head"] is not None
        self.has_buffers: bool = self.header["buffers"] != "none"
        if head is not None and self.has_codes:
            self._check_head(head)
        mean = self.header.get("mean_shape") if self.header.get("use_meanshape") else None
        self.mean_shape: Tensor | None = None if mean is None else torch.tensor(mean, dtype=torch.float32)[None]

    def _check_head(self, head: HeadModel) -> None:
        if self.header["head"] != head.name:
            raise RigError(f"The store {self.path} was made with the head model {self.header['head']}, not {head.name}; "
                           f"use --head {self.header['head']} or create the store again.")
        if self.header["head_hash"] != head.hash:
            raise RigError(f"The store {self.path} was made with another edition of the head model {head.name} (hash "
                           f"{self.header['head_hash'][:12]}, here {head.hash[:12]}), whose coefficients mean other "
                           "shapes; create the store again.")

    def __len__(self) -> int:
        return len(self._records)

    @property
    def identity(self) -> StoreIdentity:
        """What tells the whole store, of which this may be a part, from others."""
        return StoreIdentity.of(self.path.name, self._store)

    def marks(self) -> list[str]:
        """What tells the photograph of each sample from others; no picture is decoded."""
        return picture_marks(self._store, self._records)

    def only(self, records: Sequence[int]) -> FaceStoreDataset:
        """The same store reduced to some of its samples, renumbered from 0."""
        part = copy.copy(self)
        part._records = [self._records[record] for record in records]
        return part

    def item(self, index: int) -> Sample:
        """Sample ``index``; with ``use_meanshape`` its code has the mean shape of the store."""
        index = self._records[index]
        record = self._store.record(index)
        what = f"record {index} of {self.path}"
        pixels = _shrink(decode_png(record.image, self.stored_size, what), self.image_size)
        buffers = None
        if self.has_buffers and record.buffers is None:
            raise RigError(f"The store {self.path} is not finished: record {index} has no buffers yet; start the same "
                           "create-data again to continue it.")
        if record.buffers is not None:
            planes = np.ascontiguousarray(np.moveaxis(record.buffers, 0, -1))
            buffers = _channels_first(_shrink(planes, self.image_size))
        return Sample(_channels_first(pixels), self._code(record.arrays, what), buffers, record.fields, record.source)

    def fields(self) -> list[dict[str, Any]]:
        """Labels and notes of all samples; no picture is read."""
        return [self._store.record(index, image=False).fields for index in self._records]

    def code(self, index: int) -> FaceCode:
        """The face code of sample ``index`` alone; the picture is not read."""
        index = self._records[index]
        what = f"record {index} of {self.path}"
        code = self._code(self._store.record(index, image=False).arrays, what)
        if code is None:
            raise RigError(f"{self.path} is a published store, which holds no face codes; create it again to get them.")
        return code

    def _code(self, arrays: dict[str, np.ndarray], what: str) -> FaceCode | None:
        if not self.has_codes:
            return None
        code = code_from_arrays(arrays, self.header["head"], what)
        return code if self.mean_shape is None else code.replace(shape=self.mean_shape)


def _shrink(planes: np.ndarray, size: int) -> np.ndarray:
    """(H, W, C) to (size, size, C); each pixel becomes the average of the area it covers."""
    import cv2

    if planes.shape[:2] == (size, size):
        return planes
    # OpenCV's area filter takes up to four channels.
    parts = [cv2.resize(np.ascontiguousarray(planes[:, :, i:i + 3]), (size, size), interpolation=cv2.INTER_AREA)
             for i in range(0, planes.shape[2], 3)]
    return np.concatenate(parts, -1)


def _channels_first(planes: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(planes, -1, 0)))
