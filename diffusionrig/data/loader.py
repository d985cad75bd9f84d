"""Batches of a run in their fixed order, decoded ahead in the background."""

from __future__ import annotations

import collections
import copy
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import cast

import torch
from torch import Tensor, nn

from diffusionrig.data.batches import Batch, render_codes, scale_images
from diffusionrig.data.dataset import FaceStoreDataset, Sample
from diffusionrig.data.sampling import batch_records, rank_first_sample
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel

CACHE_BYTES = 1 << 30
"""A store whose pictures and buffers fit into this much memory is decoded (on a CPU also rendered) once only."""


class BatchLoader:
    """Endless Batches for one rank of a run. Use as a context manager, so that the background threads end.

    Sample n of the whole run is the same record whatever the number of ranks, the batch size, the number of workers,
    or how often the run was interrupted: the order comes from ``data.sampling``. Nothing is flipped or cropped.

    dataset       what to read; where it has no stored buffers, ``head`` renders them from the codes
    batch_size    samples per rank and batch
    samples_seen  samples all ranks together have had before the first batch; afterwards, before the next batch
    num_workers   threads that read and decode ahead; 0 reads when asked
    """

    def __init__(self, dataset: FaceStoreDataset, batch_size: int, seed: int, head: HeadModel | None = None,
                 device: torch.device | str = "cpu", rank: int = 0, ranks: int = 1, samples_seen: int = 0,
                 num_workers: int = 2, cache_bytes: int = CACHE_BYTES) -> None:
        if not dataset.has_buffers and head is None:
            raise UsageError(f"The store {dataset.path} holds codes, not buffers: give the head model to render them with.")
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.device = torch.device(device)
        self.rank, self.ranks, self.samples_seen = rank, ranks, samples_seen
        self._head = None if dataset.has_buffers or head is None else _on_device(head, self.device)
        values = dataset.image_size ** 2 * 12
        self._cached = len(dataset) * values * 4 <= cache_bytes
        self._samples: dict[int, Sample] = {}
        self._pool = ThreadPoolExecutor(num_workers, "batch") if num_workers else None
        self._ahead: collections.deque[Future[list[Sample]]] = collections.deque()
        self._depth = num_workers + 1

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.next()

    def next(self) -> Batch:
        """The batch that follows ``samples_seen`` samples, on the loader's device."""
        records = self._records(0)
        if self._pool is None:
            samples = self._read(records)
        else:
            while len(self._ahead) < self._depth:
                self._ahead.append(self._pool.submit(self._read, self._records(len(self._ahead))))
            samples = self._ahead.popleft().result()
        self.samples_seen += self.batch_size * self.ranks
        images = self._send(torch.stack([sample.image for sample in samples]))
        return Batch(scale_images(images), self._buffers(samples), torch.tensor(records, device=self.device))

    def _records(self, batches_ahead: int) -> list[int]:
        seen = self.samples_seen + batches_ahead * self.batch_size * self.ranks
        first = rank_first_sample(seen, self.batch_size, self.rank)
        return batch_records(self.seed, first, self.batch_size, len(self.dataset)).tolist()

    def _read(self, records: list[int]) -> list[Sample]:
        return [self._samples.get(record) or self._keep(record, self.dataset.item(record)) for record in records]

    def _keep(self, record: int, sample: Sample) -> Sample:
        return self._samples.setdefault(record, sample) if self._cached else sample

    def _buffers(self, samples: list[Sample]) -> Tensor:
        size = self.dataset.image_size
        if self._head is not None and self.device.type != "cpu":
            codes = FaceCode.concatenate([cast(FaceCode, sample.code) for sample in samples])
            return render_codes(codes.to(self.device), self._head, size)
        rows = []
        for sample in samples:
            buffers = sample.buffers
            if buffers is None:
                # One by one: rounding may depend on what else is in a batch, and what is kept must not.
                buffers = render_codes(cast(FaceCode, sample.code), cast(HeadModel, self._head), size)[0]
                if self._cached:
                    sample.buffers = buffers
            rows.append(buffers)
        return self._send(torch.stack(rows))

    def _send(self, tensor: Tensor) -> Tensor:
        if self.device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    def close(self) -> None:
        """End the background threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> BatchLoader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


def _on_device(head: HeadModel, device: torch.device) -> HeadModel:
    # The head that load_head shares stays where others expect it.
    return head if device.type == "cpu" else cast(HeadModel, copy.deepcopy(cast(nn.Module, head)).to(device))
