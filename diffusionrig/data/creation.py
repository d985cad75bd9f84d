"""From folders of photographs to a face store: read, capture, write in batches; killed runs continue where they were."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig import __version__
from diffusionrig.capture.encoder import FLAG_BELOW, Encoder, StagedEncoder
from diffusionrig.data.batches import render_codes
from diffusionrig.data.photographs import Photograph, ReadAhead, read_photograph
from diffusionrig.data.records import code_arrays, code_from_arrays, store_header
from diffusionrig.data.rounds import Ranks, in_rounds, share_of
from diffusionrig.data.sources import Labels, Source, find_sources, find_unread
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.files import write_json
from diffusionrig.io.images import MAX_MEGAPIXELS
from diffusionrig.io.lmdb_files import DATA_FILE
from diffusionrig.io.own_files import own_report, require_own
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter
from diffusionrig.progress import Progress

COMMAND = "create-data"
REPORT, MEAN_SHAPE = "report.json", "mean_shape.npy"

Outcome = tuple[list[Record], list[tuple[str, str]]]


@dataclasses.dataclass(frozen=True)
class CreationOptions:
    """What ``create-data`` was asked for; the flags of the command explain each."""

    data_dir: tuple[str, ...]
    output_dir: str
    image_size: int = 256
    batch_size: int = 8
    use_meanshape: bool = False
    store_buffers: str = "none"
    max_megapixels: float = MAX_MEGAPIXELS
    num_workers: int = 2
    min_confidence: float = FLAG_BELOW
    drop_flagged: bool = False
    labels: tuple[str, ...] = ()


def create_store(options: CreationOptions, encoder: Encoder, head: HeadModel, ranks: Ranks,
                 device: torch.device | str = "cpu") -> dict[str, Any]:
    """Capture every photograph of ``options.data_dir`` into the store ``options.output_dir``, or continue doing so.

    ``head`` is on ``device``, where stored buffers are rendered. Records stand in the sorted order of their sources,
    whatever the number of ranks. Returns what it also writes to ``report.json`` in the store: how many images were found,
    used, flagged and refused, and why. UsageError when there are no images, and when a report that is there
    is not of an earlier run; RigError when none can be used.
    """
    return _Creation(options, encoder, head, ranks, device).run()


class _Creation:
    def __init__(self, options: CreationOptions, encoder: Encoder, head: HeadModel, ranks: Ranks,
                 device: torch.device | str) -> None:
        self.options, self.encoder, self.head, self.ranks, self.device = options, encoder, head, ranks, device
        self._writer: StoreWriter | None = None  # on rank 0 only

    @property
    def writer(self) -> StoreWriter:
        assert self._writer is not None
        return self._writer

    def run(self) -> dict[str, Any]:
        options, ranks = self.options, self.ranks
        try:
            sources, todo = ranks.on_main(self._begin)
            self._capture_all(todo, len(sources))
            if options.store_buffers != "none" and options.use_meanshape:
                in_rounds(ranks.on_main(self._without_buffers), options.batch_size, ranks, self._render, self._add_buffers)
            return ranks.on_main(partial(self._end, sources))
        finally:
            if self._writer is not None:
                self._writer.close()

    def _begin(self) -> tuple[list[Source], list[Source]]:
        """All photographs, and those that the store does not know yet."""
        options = self.options
        sources = find_sources(options.data_dir, options.output_dir)
        # What a store's folder holds beside an earlier store is of that; without one, it is of somebody else.
        store = Path(options.output_dir) / DATA_FILE
        require_own(options.output_dir, {REPORT: own_report(COMMAND, "software", "found", "used", "refused_images"),
                                         MEAN_SHAPE: lambda file: store.is_file()}, "--output_dir")
        self._writer = StoreWriter(options.output_dir, store_header(
            self.head, options.image_size, self.encoder.name, options.store_buffers,
            min_confidence=options.min_confidence, drop_flagged=options.drop_flagged))
        if options.store_buffers != "none" and self.writer.header.get("use_meanshape", options.use_meanshape) \
                != options.use_meanshape:
            raise UsageError(f"The buffers stored in {options.output_dir} were drawn with --use_meanshape "
                             f"{not options.use_meanshape}; continue it so or choose another output folder.")
        unknown = set(self.writer.unknown([source.key for source in sources]))
        todo = [source for source in sources if source.key in unknown]
        self.writer.update_header(use_meanshape=options.use_meanshape, complete=False)
        return sources, todo

    def _capture_all(self, todo: list[Source], total: int) -> None:
        options = self.options
        labels = self.ranks.on_main(lambda: Labels(options.data_dir, options.labels))
        prepare = self.encoder.prepare if isinstance(self.encoder, StagedEncoder) else None
        read = partial(read_photograph, labels=labels, size=options.image_size, max_megapixels=options.max_megapixels,
                       prepare=prepare)
        mine = share_of(todo, options.batch_size, self.ranks)
        with (ReadAhead(mine, read, options.num_workers, 2 * options.batch_size) as reading,
              Progress(total, "create-data", initial=total - len(todo), enabled=self.ranks.rank == 0) as progress):
            in_rounds(todo, options.batch_size, self.ranks, lambda batch: self._capture([reading.take() for _ in batch]),
                      partial(self._commit, progress))

    def _capture(self, photographs: list[Photograph]) -> Outcome:
        """The records of those photographs that can be used, and (source, reason) of the others."""
        options = self.options
        records: list[Record] = []
        refused = [(photograph.source.key, photograph.failure) for photograph in photographs if photograph.failure]
        readable = [(photograph, photograph.capture) for photograph in photographs if photograph.capture is not None]
        if not readable:
            return records, refused
        inputs = [image for _, image in readable]
        result = (self.encoder.encode_prepared(inputs) if isinstance(self.encoder, StagedEncoder)
                  else self.encoder.encode(inputs))
        codes = result.code.to("cpu")
        used = []
        for i, (photograph, _) in enumerate(readable):
            confidence = float(codes.confidence[i])
            flagged = confidence < options.min_confidence
            if not result.found[i]:
                refused.append((photograph.source.key, result.notes[i] or "No face was found."))
            elif flagged and options.drop_flagged:
                refused.append((photograph.source.key,
                                f"Flagged: confidence {confidence:.2f} is below {options.min_confidence:g}."))
            else:
                notes = "; ".join(filter(None, (photograph.fields.get("note"), result.notes[i])))
                extra = ({"note": notes} if notes else {}) | ({"flagged": True} if flagged else {})
                records.append(Record(photograph.source.key, photograph.stored, code_arrays(codes[i]),
                                      photograph.fields | extra))
                used.append(i)
        if used and options.store_buffers != "none" and not options.use_meanshape:
            # With a mean shape they are drawn when every shape is known.
            for record, planes in zip(records, self._render([codes[i] for i in used])):
                record.buffers = planes
        return records, refused

    def _commit(self, progress: Progress, outcomes: list[Outcome]) -> None:
        records = [record for records, _ in outcomes for record in records]
        refused = [pair for _, pairs in outcomes for pair in pairs]
        self.writer.append(records, refused)
        progress.update(len(records) + len(refused), f"{len(refused)} refused" if refused else "")

    def _render(self, codes: list[FaceCode]) -> list[np.ndarray]:
        if not codes:
            return []
        batch = FaceCode.concatenate(codes).to(self.device)
        return list(render_codes(batch, self.head, self.options.image_size).cpu().numpy())

    def _without_buffers(self) -> list[FaceCode]:
        """Codes with the mean shape of all records that have no buffers drawn with that mean yet, in order."""
        writer = self.writer
        mean = self._mean_shape()
        if writer.header.get("mean_shape") != mean:
            writer.update_header(mean_shape=mean, buffers_done=0)
        shape = torch.tensor(mean, dtype=torch.float32)[None]
        return [code_from_arrays(writer.record(i, image=False).arrays, self.head.name, f"record {i}").replace(shape=shape)
                for i in range(writer.header["buffers_done"], len(writer))]

    def _add_buffers(self, parts: list[list[np.ndarray]]) -> None:
        writer = self.writer
        first = int(writer.header["buffers_done"])
        planes = [plane for part in parts for plane in part]
        writer.replace({first + i: dataclasses.replace(writer.record(first + i), buffers=plane)
                        for i, plane in enumerate(planes)}, buffers_done=first + len(planes))

    def _mean_shape(self) -> list[float]:
        total = np.zeros(self.head.n_shape)
        for i in range(len(self.writer)):
            total += self.writer.record(i, image=False).arrays["shape"]
        return [float(value) for value in (total / max(len(self.writer), 1)).astype(np.float32)]

    def _end(self, sources: list[Source]) -> dict[str, Any]:
        writer, options = self.writer, self.options
        mean = self._mean_shape()
        writer.update_header(mean_shape=mean, complete=True)
        if options.use_meanshape:
            # For --meanshape of the edit command, as the published script leaves its mean_shape.pkl here.
            write_npy(writer.path / MEAN_SHAPE, np.array([mean], np.float32))
        flagged = []
        for i in range(len(writer)):
            record = writer.record(i, image=False)
            if record.fields.get("flagged"):
                flagged.append({"source": record.source, "confidence": round(float(record.arrays["confidence"]), 3)})
        refused = [{"source": source, "reason": reason} for source, reason in writer.refused()]
        report = {"command": COMMAND, "software": f"diffusionrig {__version__}", "found": len(sources), "used": len(writer),
                  "flagged": len(flagged), "refused": len(refused), "options": dataclasses.asdict(options),
                  "encoder": self.encoder.name, "head": self.head.name, "flagged_images": flagged, "refused_images": refused,
                  "unread": find_unread(options.data_dir, options.output_dir, sources)}
        write_json(writer.path / REPORT, report)
        if not len(writer):
            raise RigError(f"None of the {len(sources)} images could be used: "
                           f"{refused[0]['reason'] if refused else 'nothing was captured'} {writer.path / REPORT} "
                           "lists the reason for each.")
        return report
