"""An album on disk: its photographs, what ``curate`` says of them, and the models that were trained on them.

    photographs/          as they were handed over
    curated/              what ``curate`` writes: report.json, kept/, faces/
    models/KEY/store      what ``create-data`` makes of the kept faces; KEY follows from what is kept
    models/KEY/run        what ``train`` writes
    album.json            consent, updates, and the KEY that is trained or was last
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import make_folder, read_bytes, read_json, remove_files, sha256_of, write_bytes, write_json
from diffusionrig.io.images import IMAGE_SUFFIXES, decode_image, find_images
from diffusionrig.io.journal import read_table
from diffusionrig.io.paths import real

MOST_PHOTOGRAPHS, MOST_ALBUMS = 120, 200
MOST_CONSENT = 500
USUAL_UPDATES, MOST_UPDATES = 200, 20_000
MOST_POINTS = 400
"""Points of the curve of the loss that are shown."""

_NAME_BYTES = 120


@dataclasses.dataclass(frozen=True)
class Note:
    """What is remembered of an album beside its files."""

    consent: str = ""
    updates: int = USUAL_UPDATES
    key: str = ""


class AlbumFolder:
    """The album in the folder ``path``, which is made when something is put into it."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.photographs, self.curated, self.models = path / "photographs", path / "curated", path / "models"
        self.faces = self.curated / "faces"

    # Photographs.

    def files(self) -> list[str]:
        """Names of the photographs, in order."""
        if not self.photographs.is_dir():
            return []
        return [file.name for file in find_images(self.photographs, recursive=False)]

    def add(self, data: bytes, name: str, max_megapixels: float) -> bool:
        """Keep the photograph in ``data``; False when its very bytes are there already. RigError, one sentence, when it is none,
        or there is no room."""
        decode_image(data, name, max_megapixels)
        files = self.files()
        digest = hashlib.sha256(data).hexdigest()
        if any((self.photographs / file).stat().st_size == len(data) and sha256_of(self.photographs / file) == digest
               for file in files):
            return False
        if len(files) >= MOST_PHOTOGRAPHS:
            raise UsageError(f"{name} is one too many: an album has up to {MOST_PHOTOGRAPHS} photographs, and about 20 are enough.")
        write_bytes(make_folder(self.photographs) / free_name(name, data, files), data)
        return True

    def remove(self, file: str) -> None:
        """Take a photograph out of the album, for good: it is a copy."""
        remove_files([self.photograph(file)])

    def photograph(self, file: str) -> Path:
        """The photograph called ``file``; UsageError when there is none."""
        if file not in self.files():
            raise UsageError(f"There is no photograph {file[:60]!r} in this album.")
        return self.photographs / file

    def picture(self, file: str, max_megapixels: float) -> Any:
        """(H, W, 3) uint8."""
        return decode_image(read_bytes(self.photograph(file)), file, max_megapixels)

    # What curate says.

    def verdicts(self) -> tuple[dict[str, tuple[str, str]], list[str]]:
        """(verdict, why) by file as the last look found them, and notes on the album as a whole."""
        report = _json(self.curated / "report.json")
        if report.get("unfinished"):
            return {}, []
        return ({str(entry["file"]): (str(entry["verdict"]), "; ".join(map(str, entry.get("reasons", []))))
                 for entry in report.get("photographs", [])}, [str(note) for note in report.get("notes", [])])

    def forget_strange_look(self) -> None:
        """Delete what ``curate`` has written of an album that has been moved since, which it would not write over."""
        if self.curated.is_dir() and _json(self.curated / "report.json").get("folder") != str(real(self.photographs)):
            shutil.rmtree(self.curated, ignore_errors=True)

    def looked_at(self) -> bool:
        """Whether ``curate`` has seen the photographs that are there, and no others."""
        return bool(self.files()) and set(self.verdicts()[0]) == set(self.files())

    def kept(self) -> list[str]:
        """The photographs that are worth training on."""
        verdicts = self.verdicts()[0]
        return [file for file in self.files() if verdicts.get(file, ("", ""))[0] == "kept"]

    def key(self, base: str) -> str:
        """Follows from the kept photographs and from the ``base`` model's hash: another album is another model."""
        marks = [base, *(sha256_of(self.photographs / file) for file in self.kept())]
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:12]

    # What was trained.

    @property
    def note(self) -> Note:
        """What is remembered."""
        found = _json(self.path / "album.json")
        updates = found.get("updates")
        return Note(str(found.get("consent", ""))[:MOST_CONSENT],
                    updates if isinstance(updates, int) and 0 < updates <= MOST_UPDATES else USUAL_UPDATES,
                    "".join(letter for letter in str(found.get("key", "")) if letter in "0123456789abcdef"))

    @note.setter
    def note(self, note: Note) -> None:
        write_json(make_folder(self.path) / "album.json", dataclasses.asdict(note))

    def store(self, key: str) -> Path:
        """What the model of ``key`` learns from."""
        return self.models / key / "store"

    def run(self, key: str) -> Path:
        """Where it is trained."""
        return self.models / key / "run"

    def trained(self) -> list[tuple[Path, int]]:
        """The newest model of each training, and after how many updates."""
        return [found for run in sorted(self.models.glob("*/run")) if (found := newest_model(run))]

    def curve(self, key: str) -> list[dict[str, float]]:
        """Rows of the log of the training of ``key``: step, loss, rate (pictures a second)."""
        rows: list[dict[str, float]] = []
        for row in read_table(self.run(key) / "progress.csv") if key else []:
            try:
                rows.append({"step": int(row["step"]), "loss": float(row["loss"]), "rate": float(row["images/s"])})
            except (KeyError, ValueError):  # a row that is being written
                continue
        return rows


def albums_in(folder: Path) -> list[AlbumFolder]:
    """The albums in ``folder``, that which was worked on last first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [AlbumFolder(path) for path in sorted(found, key=_worked_on, reverse=True)[:MOST_ALBUMS]]


def newest_model(run: Path) -> tuple[Path, int] | None:
    """The model after the most updates in the folder of a run, and after how many; None when there is none."""
    found = [(int(digits), path) for path in run.glob("model*.safetensors")
             if (digits := path.stem.removeprefix("model")).isdecimal()]
    step, path = max(found, default=(0, None))
    return None if path is None else (path, step)


def plain_name(text: str, most: int = _NAME_BYTES) -> str:
    """``text`` as the name of a file or folder: no parts, no leading dots, at most so many bytes; "" when nothing is left."""
    name = text.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in name if letter.isprintable() and letter not in '<>:"|?*').strip().lstrip(".").rstrip(". ")
    return kept.encode("utf-8", "ignore")[:most].decode("utf-8", "ignore").strip()


def free_name(name: str, data: bytes, taken: Sequence[str]) -> str:
    """A name for the photograph in ``data``, close to ``name``, which none of the ``taken`` has, and of a suffix that is read."""
    plain = plain_name(name) or "photograph"
    stem, suffix = Path(plain).stem, Path(plain).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        stem, suffix = plain, _suffix_of(data)
    known = {other.lower() for other in taken}
    number, free = 1, f"{stem}{suffix}"
    while free.lower() in known:
        number += 1
        free = f"{stem}-{number}{suffix}"
    return free


def _suffix_of(data: bytes) -> str:
    if data[:4] == b"\x89PNG":
        return ".png"
    return ".webp" if data[8:12] == b"WEBP" else ".heic" if data[4:8] == b"ftyp" else ".jpg"


def _worked_on(path: Path) -> float:
    try:
        return max(entry.stat().st_mtime for entry in (path, *path.iterdir()))
    except OSError:
        return 0.0


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = read_json(path)
    except RigError:  # cut off by a power cut, or by hand: as good as none
        return {}
    return found if isinstance(found, dict) else {}
