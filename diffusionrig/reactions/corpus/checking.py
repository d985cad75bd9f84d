"""Walking a corpus and naming everything in it that is missing, short, misnamed or damaged."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from diffusionrig.errors import RigError
from diffusionrig.io.frame_sequences import FrameSequence
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.wav import wav_info
from diffusionrig.progress import Progress
from diffusionrig.reactions.corpus.clips import ClipId
from diffusionrig.reactions.corpus.corpus import VARIANTS, Corpus, Split
from diffusionrig.reactions.corpus.cropping import usable_length
from diffusionrig.reactions.corpus.layout import MODALITIES
from diffusionrig.reactions.corpus.matrices import matrix_problems
from diffusionrig.reactions.corpus.reading import read_coefficients, read_emotion
from diffusionrig.reactions.corpus.walking import clips_on_disk

KINDS = ("missing", "short", "misnamed", "damaged", "list", "matrix", "unlisted", "mono", "rate")
NOTES = ("unlisted", "mono", "rate")
"""Kinds that are worth knowing but keep nothing from working."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """split     train, val, test; empty for what concerns the whole corpus
    row       of the split's list, counted from 0; None where there is none
    clip      the id; empty where a finding is not about one
    modality  video, audio, emotion, coefficients, list, matrix
    kind      one of KINDS
    file      where
    detail    one sentence
    """

    split: str
    row: int | None
    clip: str
    modality: str
    kind: str
    file: str
    detail: str

    @property
    def problem(self) -> bool:
        """Whether something will not work; notes are no problems."""
        return self.kind not in NOTES


def check_corpus(root: str | Path, splits: Sequence[str] = (), length: int | None = None) -> tuple[list[Finding], dict[str, int]]:
    """Everything wrong in the corpus at ``root`` (in ``splits``, all by default), and counts of what was looked at.

    ``length``: frames that every clip should have; by default those that most clips of the split have. Clips are read one at
    a time.
    """
    corpus = Corpus.open(root, length)
    findings: list[Finding] = []
    counts = {"splits": 0, "items": 0, "files": 0}
    for name in splits or corpus.splits:
        try:
            split = corpus.split(name)
        except RigError as error:
            findings.append(Finding(name, None, "", "list", "list", str(corpus.root / f"{name}.csv"), str(error)))
            continue
        counts["splits"] += 1
        counts["items"] += len(split)
        findings += list(_list_findings(split))
        findings += list(_matrix_findings(split))
        checker = _Clips(split)
        findings += checker.run()
        counts["files"] += checker.files
        findings += list(_walk_findings(split))
    return findings, counts


def _list_findings(split: Split) -> Iterator[Finding]:
    """Rows whose two paths are no pair, and clips that come twice."""
    seen: dict[ClipId, int] = {}
    file = str(split.corpus.root / f"{split.name}.csv")
    for item in split.items[:split.pairs]:
        speaker, listener = item.speaker, item.listener
        if speaker.pair != listener.pair:
            yield Finding(split.name, item.index, str(speaker), "list", "list", file,
                          f"It is paired with {listener}, which is of another clip.")
        for clip in (speaker, listener):
            if clip in seen:
                yield Finding(split.name, item.index, str(clip), "list", "list", file, f"It is in row {seen[clip]} already.")
            seen.setdefault(clip, item.index)


def _matrix_findings(split: Split) -> Iterator[Finding]:
    """What is wrong with the matrices that are there, and the split's own when it is not."""
    for variant, (_, pattern) in VARIANTS.items():
        path = split.corpus.root / pattern.format(split=split.name)
        if split.matrix_path is None or (variant and not path.exists()):
            continue
        try:
            size = len(split) if not variant else len(split.corpus.split(split.name, variant))
            problems = matrix_problems(map_npy(path, "appropriateness matrix"), size, path.name)
        except RigError as error:
            problems = [str(error)]
        for problem in problems:
            kind = "matrix" if path.exists() else "missing"
            yield Finding(split.name, None, "", "matrix", kind, str(path), problem.rstrip(".") + ".")


def _walk_findings(split: Split) -> Iterator[Finding]:
    """Files that no row of the list speaks of, and names that mean nothing."""
    clips = {clip for item in split.items for clip in (item.speaker, item.listener)}
    for modality in MODALITIES:
        expected = {split.path(modality, clip) for clip in clips}
        for entry in clips_on_disk(split.corpus.layout, split.corpus.root, split.name, modality):
            if entry.path in expected:
                continue
            if entry.clip is None:
                yield Finding(split.name, None, "", modality, "misnamed", str(entry.path), f"It {entry.complaint}.")
            else:
                yield Finding(split.name, None, str(entry.clip), modality, "unlisted", str(entry.path),
                              "No row of the list speaks of it.")


class _Clips:
    """Looks at every file of every clip of a split once."""

    def __init__(self, split: Split) -> None:
        self.split, self.files = split, 0
        self.findings: list[Finding] = []
        self.rows: dict[tuple[ClipId, str], int] = {}
        self.seconds: dict[ClipId, float] = {}
        layout, root = split.corpus.layout, split.corpus.root
        self.present = [modality for modality in MODALITIES if layout.folder(root, split.name, modality).is_dir()]
        self.row_of = {clip: item.index for item in split.items[:split.pairs] for clip in (item.speaker, item.listener)}

    def run(self) -> list[Finding]:
        """One finding per thing that is wrong."""
        for modality in ("emotion", "coefficients"):
            if modality not in self.present:
                folder = self.split.corpus.layout.folder(self.split.corpus.root, self.split.name, modality)
                self._add(None, modality, "missing", folder, "The folder is absent.")
        look = {"video": self._video, "audio": self._audio, "emotion": self._emotion, "coefficients": self._coefficients}
        with Progress(len(self.row_of), f"react check {self.split.name}", unit="clip") as progress:
            for clip in self.row_of:
                for modality in self.present:
                    self._file(clip, modality, look[modality])
                progress.update()
        self._compare()
        return self.findings

    def _file(self, clip: ClipId, modality: str, look: Callable[[ClipId, Path], None]) -> None:
        path = self.split.path(modality, clip)
        if not path.exists():
            self._add(clip, modality, "missing", path, "The file is absent.")
            return
        self.files += 1
        try:
            look(clip, path)
        except RigError as error:
            self._add(clip, modality, "damaged", path, str(error))

    def _emotion(self, clip: ClipId, path: Path) -> None:
        self.rows[clip, "emotion"] = len(read_emotion(path))

    def _coefficients(self, clip: ClipId, path: Path) -> None:
        self.rows[clip, "coefficients"] = len(read_coefficients(path))

    def _video(self, clip: ClipId, path: Path) -> None:
        fps = self.split.fps
        frames = FrameSequence(path, fps=fps)
        self.rows[clip, "video"] = len(frames)
        timing = frames.timing
        if timing is not None and not timing.keeps(fps):
            pace = f"{float(timing.rate):.5g} frames a second" if timing.steady else (
                f"frames at varying distances, about {float(timing.rate):.5g} a second")
            self._add(clip, "video", "rate", path, f"It has {pace}, the corpus has {fps}; its {len(timing)} frames are read as "
                                                   f"{len(frames)}, by their times.")

    def _audio(self, clip: ClipId, path: Path) -> None:
        info = wav_info(path)
        self.seconds[clip] = info.seconds
        if info.channels == 1:
            self._add(clip, "audio", "mono", path, f"The sound has one channel, at {info.rate} Hz.")

    def _compare(self) -> None:
        """Hold every length against what the split's clips have, or against the clip's own other files."""
        expected = self.split.corpus.given_length
        if expected is None and self.split.corpus.layout.name != "mars":
            usual = Counter(usable_length(count) for (_, modality), count in self.rows.items() if modality == "emotion")
            usual = usual or Counter(usable_length(count) for count in self.rows.values())
            expected = usual.most_common(1)[0][0] if usual else None
        for clip in self.row_of:
            known = {modality: count for modality in MODALITIES if (count := self.rows.get((clip, modality))) is not None}
            wanted = expected if expected is not None else max(known.values(), default=0) - 1
            for modality, count in known.items():
                if count < wanted:
                    self._add(clip, modality, "short", self.split.path(modality, clip), f"It has {count} of {wanted} frames.")
            frames = known.get("video", known.get("coefficients", wanted))
            if clip in self.seconds and self.seconds[clip] < (frames - 1) / self.split.fps:
                self._add(clip, "audio", "short", self.split.path("audio", clip),
                          f"The sound lasts {self.seconds[clip]:.2f} s, its {frames} frames take {frames / self.split.fps:.2f} s.")

    def _add(self, clip: ClipId | None, modality: str, kind: str, path: Path, detail: str) -> None:
        row = None if clip is None else self.row_of[clip]
        self.findings.append(Finding(self.split.name, row, str(clip or ""), modality, kind, str(path), detail))
