"""What the training step is fed with: the loader's batches and the noise of each sample, made ahead in the background."""

from __future__ import annotations

import copy
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusionrig.data.batches import render_codes, scale_images
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.loader import BatchLoader
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.training.distributed import World
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.order import noise_of


def face_of(buffers: Tensor) -> Tensor:
    """(B, 1, S, S) bool: where buffers (B, 9, S, S) show the head. Normals are unit vectors there and zero elsewhere."""
    return buffers[:, 3:6].square().sum(1, keepdim=True) > 0.25


@dataclass
class Loader:
    """``make(samples)`` gives the next batch, without noise; ``close`` ends what works in the background."""

    make: Callable[[list[int]], Batch]
    close: Callable[[], None]


BLOCK = 16  # photographs encoded together; fixed, since rounding may depend on it and a resumed run must see the same bits
_AHEAD = 2


@dataclass
class Batch:
    """B samples of a run.

    samples  (B,) their numbers within the whole run
    records  (B,) int64, which records of the store they are
    images   (B, 3, S, S) in [-1, 1]
    buffers  (B, 9, S, S), or the reference condition
    noise    (B, 3, S, S) standard normal
    weight   (B, 1, S, S) how much each pixel counts; None for all alike
    """

    samples: list[int]
    records: Tensor
    images: Tensor
    buffers: Tensor
    noise: Tensor
    weight: Tensor | None = None


@dataclass
class Shown:
    """Records as they are drawn to look at or to measure: ``images`` (B, 3, S, S) in [-1, 1], the ``condition`` (B, C, S, S) that
    they are drawn from, the ``face`` (B, 1, S, S) bool, of the condition a ``view`` (B, 3, S, S) in 0..1, and the ``weight``
    (B, 1, S, S) of the pixels, None for all alike."""

    images: Tensor
    condition: Tensor
    face: Tensor
    view: Tensor
    weight: Tensor | None = None


class Faces:
    """The store a run trains on, with the head model to render it when its buffers are not stored."""

    def __init__(self, dataset: FaceStoreDataset) -> None:
        self.dataset = dataset
        self.head: HeadModel | None = None
        if not dataset.has_buffers:
            from diffusionrig.geometry.heads import load_head

            self.head = load_head(dataset.header["head"])
            # Asking again with the head compares its hash with the one the codes were made with.
            self.dataset = FaceStoreDataset(dataset.path, dataset.image_size, self.head)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def stores(self) -> list[FaceStoreDataset]:
        """All stores that are learned from."""
        return [self.dataset]

    def only(self, records: Sequence[int]) -> Faces:
        """Some of the faces, renumbered from 0."""
        part = copy.copy(self)
        part.dataset = self.dataset.only(records)
        return part

    @property
    def megabytes(self) -> float:
        """Size of all photographs and buffers once decoded."""
        return len(self) * self.dataset.image_size ** 2 * 12 * 4 / 1e6

    def images(self, indices: Sequence[int]) -> Tensor:
        """(B, 3, S, S) photographs in [-1, 1], on the CPU."""
        return scale_images(torch.stack([self.dataset.item(index).image for index in indices]))

    def shown(self, indices: Sequence[int]) -> Shown:
        """The records, on the CPU, with what they are drawn from."""
        buffers = self.buffers(indices)
        return Shown(self.images(indices), buffers, face_of(buffers), buffers[:, :3])

    def loader(self, options: TrainOptions, world: World, samples_seen: int) -> Loader:
        """What makes the batches of this process that follow ``samples_seen`` samples of the whole run."""
        loader = BatchLoader(self.dataset, options.batch_size, options.seed, self.head, world.device, world.rank, world.size,
                             samples_seen, min(options.num_workers, os.cpu_count() or 1), options.cache_megabytes * 1_000_000)

        def make(samples: list[int]) -> Batch:
            loaded = loader.next()
            return Batch(samples, loaded.index, loaded.image, loaded.buffers, loaded.buffers[:0])

        return Loader(make, loader.close)

    def buffers(self, indices: Sequence[int]) -> Tensor:
        """(B, 9, S, S) buffers, on the CPU."""
        if self.head is None:
            held = [self.dataset.item(index).buffers for index in indices]
            return torch.stack([buffers for buffers in held if buffers is not None])
        codes = FaceCode.concatenate([self.dataset.code(index) for index in indices])
        return render_codes(codes, self.head, self.dataset.image_size)


def latents_of(encode: Callable[[Tensor], Tensor], faces: Faces, device: torch.device) -> Tensor:
    """(N, latent_dim) latents of all N records under a frozen encoder."""
    with torch.no_grad():
        return torch.cat([encode(faces.images(range(first, min(first + BLOCK, len(faces)))).to(device))
                          for first in range(0, len(faces), BLOCK)])


class Feeder:
    """The batches of one rank that follow ``samples_seen`` samples of the whole run, a few made ahead by one thread."""

    def __init__(self, faces: Faces, options: TrainOptions, world: World, samples_seen: int) -> None:
        self.options, self.world, self.size = options, world, faces.dataset.image_size
        self._format = torch.channels_last if options.channels_last else torch.contiguous_format
        self._first = samples_seen + world.rank * options.batch_size
        self._loader = faces.loader(options, world, samples_seen)
        self._pool = ThreadPoolExecutor(1, "feeder")
        self._queue: deque[Future[Batch]] = deque()

    def next(self) -> Batch:
        """The next batch of this rank."""
        while len(self._queue) < _AHEAD:
            self._queue.append(self._pool.submit(self._prepare))
        return self._queue.popleft().result()

    def _prepare(self) -> Batch:
        samples = list(range(self._first, self._first + self.options.batch_size))
        self._first += self.options.batch_size * self.world.size
        batch = self._loader.make(samples)
        noise = torch.stack([noise_of(self.options.seed, sample, self.size) for sample in samples])
        return Batch(samples, batch.records, self._place(batch.images), self._place(batch.buffers), self._place(noise),
                     None if batch.weight is None else self._place(batch.weight))

    def _place(self, tensor: Tensor) -> Tensor:
        if self.world.device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()
        return tensor.to(self.world.device, memory_format=self._format, non_blocking=True)

    def close(self) -> None:
        """Stop making batches."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._loader.close()
