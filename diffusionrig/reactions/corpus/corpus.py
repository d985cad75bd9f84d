"""A dyadic corpus on disk: its splits, the directed items of each, and everything that is known of a clip, read lazily."""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.frame_sequences import FrameSequence
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.tables import read_text_table
from diffusionrig.reactions.corpus.attributes import N_COEFFICIENTS
from diffusionrig.reactions.corpus.clips import ClipId
from diffusionrig.reactions.corpus.cropping import crop, crop_sound, usable_length
from diffusionrig.reactions.corpus.layout import SPLITS, Layout, find_layout
from diffusionrig.reactions.corpus.mars import mars_pairs
from diffusionrig.reactions.corpus.matrices import class_matrix, read_matrix
from diffusionrig.reactions.corpus.reading import read_coefficients, read_emotion, read_sound

VARIANTS = {"": ("{split}.csv", "neighbour_emotion_{split}.npy"),
            "person_specific": ("person_specific_{split}.csv", "person_specific_masked_neighbour_emotion_{split}.npy")}
"""Per variant, the list of pairs and the matrix: the challenge's own, and those of PerFRDiff."""


@dataclasses.dataclass(frozen=True)
class Item:
    """One directed task: react as ``listener`` to ``speaker``. ``index`` is its place in the mirrored order."""

    index: int
    speaker: ClipId
    listener: ClipId


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """``root``; its ``layout``; ``given_length``, frames of every clip that count, or None to find out."""

    root: Path
    layout: Layout
    given_length: int | None = None

    @classmethod
    def open(cls, root: str | Path, length: int | None = None) -> Corpus:
        """The corpus at ``root``. ``length`` overrides how many frames of every clip count.

        UsageError when there is none, or ``length`` is not positive.
        """
        folder = Path(root)
        if not folder.is_dir():
            raise UsageError(f"There is no corpus folder {folder}; check the path.")
        if length is not None and length < 1:
            raise UsageError(f"A clip of {length} frames shows nothing; give a length of at least 1.")
        layout = find_layout(folder)
        if layout is None:
            places = (folder.resolve().parent, *sorted(folder.iterdir()))
            near = [place for place in places if place.is_dir() and find_layout(place)]
            raise UsageError(f"{folder} holds no corpus: no train/Emotion, no train/facial-attributes, nor their like; "
                             f"give the folder that holds train, val and test{f', which {near[0]} is' if near else ''}.")
        return cls(folder, layout, length)

    @property
    def fps(self) -> int:
        """Video frames a second."""
        return self.layout.fps

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are there."""
        return tuple(name for name in SPLITS if (self.root / name).is_dir() or (self.root / f"{name}.csv").is_file())

    def split(self, name: str, variant: str = "") -> Split:
        """One of ``train``, ``val``, ``test``; ``variant`` "person_specific" takes PerFRDiff's lists.

        UsageError when there is no such split, or its list of pairs is absent.
        """
        if name not in SPLITS:
            raise UsageError(f"There is no split {name!r}; choose from {', '.join(SPLITS)}.")
        if variant not in VARIANTS:
            raise UsageError(f"There is no variant {variant!r} of the splits; choose from {', '.join(filter(None, VARIANTS))}.")
        if self.layout.name == "mars":
            return Split(self, name, mars_pairs(self.root, name))
        table = self.root / VARIANTS[variant][0].format(split=name)
        if not table.is_file():
            raise UsageError(f"There is no list of pairs {table}; write it with 'diffusionrig react index {self.root}'.")
        return Split(self, name, read_pairs(table), self.root / VARIANTS[variant][1].format(split=name))

    @cached_property
    def mean_face(self) -> np.ndarray | None:
        """(58,) float32, or None where the corpus has none."""
        return self._face("mean_face.npy")

    @cached_property
    def std_face(self) -> np.ndarray | None:
        """(58,) float32, or None where the corpus has none."""
        return self._face("std_face.npy")

    def _face(self, name: str) -> np.ndarray | None:
        for place in (self.root, self.root / "external" / "FaceVerse", self.root.parent / "external" / "FaceVerse"):
            if (place / name).is_file():
                values = np.array(map_npy(place / name), np.float32).reshape(-1)
                if values.shape != (N_COEFFICIENTS,) or not np.isfinite(values).all():
                    raise RigError(f"{place / name} holds {values.size} values, but {N_COEFFICIENTS} finite ones are needed; copy "
                                   "it again.")
                return values
        return None


class Split:
    """The directed items of a split in mirrored order: the P rows of its list, then the same with the roles exchanged.

    ``name``; ``items``, N = 2P; ``corpus``. Nothing is kept of what is read but the matrix.
    """

    def __init__(self, corpus: Corpus, name: str, pairs: list[tuple[ClipId, ClipId]], matrix_path: Path | None = None) -> None:
        if not pairs:
            raise RigError(f"The split {name} of {corpus.root} has no pairs; fill its list or choose another split.")
        self.corpus, self.name, self.matrix_path = corpus, name, matrix_path
        both = pairs + [(listener, speaker) for speaker, listener in pairs]
        self.items = [Item(index, speaker, listener) for index, (speaker, listener) in enumerate(both)]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def pairs(self) -> int:
        """P, the rows of the list."""
        return len(self.items) // 2

    @property
    def fps(self) -> int:
        return self.corpus.fps

    @property
    def mean_face(self) -> np.ndarray | None:
        return self.corpus.mean_face

    @property
    def std_face(self) -> np.ndarray | None:
        return self.corpus.std_face

    def partner(self, index: int) -> int:
        """The item with the roles of item ``index`` exchanged."""
        return (index + self.pairs) % len(self.items)

    @cached_property
    def length(self) -> int | None:
        """T, to which every modality is cropped; None where clips have lengths of their own (MARS).

        Without a length given to ``Corpus.open``: what the attributes and coefficients of the first item have in common,
        751 counting as 750.
        """
        if self.corpus.given_length is not None or self.corpus.layout.name == "mars":
            return self.corpus.given_length
        first = self.items[0]
        rows = [len(read(path)) for clip in (first.speaker, first.listener)
                for modality, read in (("emotion", read_emotion), ("coefficients", read_coefficients))
                if (path := self.path(modality, clip)).is_file()]
        if not rows:
            raise RigError(f"The first pair of {self.name} in {self.corpus.root} has neither attributes nor coefficients; give the "
                           "length of the clips.")
        return usable_length(min(rows))

    def path(self, modality: str, clip: ClipId) -> Path:
        """Where the ``video``, ``audio``, ``emotion`` or ``coefficients`` of a clip are, or should be."""
        return self.corpus.layout.path(self.corpus.root, self.name, modality, clip)

    def matrix(self) -> np.ndarray:
        """(N, N) bool, M[k, j] = the reaction of listener j suits speaker k; checked, read once."""
        return self._matrix

    @cached_property
    def _matrix(self) -> np.ndarray:
        if self.matrix_path is None:
            return class_matrix([(item.speaker.session, item.speaker.role) for item in self.items])
        if not self.matrix_path.is_file():
            raise UsageError(f"There is no matrix {self.matrix_path}; write it with 'diffusionrig react index {self.corpus.root}'.")
        return read_matrix(self.matrix_path, len(self.items))

    def neighbours(self, index: int) -> np.ndarray:
        """Indices of the items whose listener's reaction suits the speaker of item ``index``, itself among them."""
        return np.flatnonzero(self.matrix()[index])

    def emotion(self, clip: ClipId) -> np.ndarray:
        """Attributes (T, 25) float32."""
        path = self.path("emotion", clip)
        return crop(read_emotion(path), self.length, path)

    def coefficients(self, clip: ClipId) -> np.ndarray:
        """Coefficients (T, 58) float32, absolute: the mean face is not subtracted."""
        path = self.path("coefficients", clip)
        return crop(read_coefficients(path, self.length), self.length, path)

    def audio(self, clip: ClipId) -> tuple[np.ndarray, int]:
        """Samples (T / fps * rate,) float32 mono in -1..1, and the rate in hertz."""
        path = self.path("audio", clip)
        samples, rate = read_sound(path)
        return crop_sound(samples, rate, self.length, self.fps, path), rate

    def frames(self, clip: ClipId) -> FrameSequence:
        """The T frames, each (H, W, 3) uint8, decoded as they are asked for; of a video of another rate than the corpus's the frame
        that is shown at each time."""
        path = self.path("video", clip)
        if not path.exists():
            raise UsageError(f"There is no video {path} (nor a file of that name); check the corpus.")
        return FrameSequence(path, self.length, self.fps)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the items and the matrix: results on splits of different hash must not be compared."""
        digest = hashlib.sha256("\n".join(f"{item.speaker} {item.listener}" for item in self.items).encode())
        if self.matrix_path is None or self.matrix_path.is_file():
            digest.update(np.packbits(self.matrix()).tobytes())
        return digest.hexdigest()


def read_pairs(path: Path) -> list[tuple[ClipId, ClipId]]:
    """Pairs (speaker, listener) of a split's csv, whose first column is an unnamed running number.

    RigError naming file and row when a column is absent, a path is none, or speaker and listener are the same.
    """
    header, rows = read_text_table(path, "list of pairs")
    try:
        columns = header.index("speaker_path"), header.index("listener_path")
    except ValueError:
        raise RigError(f"{path} has the columns {', '.join(filter(None, header)) or 'none'}, but speaker_path and listener_path "
                       "are needed; write it again with 'diffusionrig react index'.") from None
    pairs = []
    for number, row in enumerate(rows):
        if len(row) <= max(columns):
            raise RigError(f"Row {number} of {path} has {len(row)} cells, but its header has {len(header)}; repair it.")
        try:
            speaker, listener = (ClipId.parse(row[column]) for column in columns)
        except RigError as error:
            raise RigError(f"Row {number} of {path}: {error}") from None
        if speaker == listener:
            raise RigError(f"Row {number} of {path} pairs {speaker} with itself; repair it.")
        pairs.append((speaker, listener))
    return pairs
