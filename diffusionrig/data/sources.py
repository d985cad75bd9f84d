"""The photographs a store is made from: where they are, what they are called in the store, and which labels they have."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.io.files import existing_file
from diffusionrig.io.images import find_files, find_images
from diffusionrig.io.label_files import read_label_arrays, read_label_table
from diffusionrig.io.paths import real
from diffusionrig.io.unread import unread_files

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt", "none", "uncertain", "no face")
"""AffectNet's expression classes by number."""

_FOLDER_NAMES = {**{name: i for i, name in enumerate(EXPRESSIONS[:8])}, "happiness": 1, "sadness": 2, "angry": 6}


@dataclasses.dataclass(frozen=True)
class Source:
    """key   name within the store: the data folder's name and the path below it, with forward slashes
    path  the file
    root  the data folder it was found in
    """

    key: str
    path: Path
    root: Path


def find_sources(folders: Sequence[str], output_dir: str | Path) -> list[Source]:
    """Every image file below ``folders`` but not in ``output_dir``, sorted within each folder.

    A folder named twice counts once; two folders of one name are told apart by a number, so that no photograph hides
    another. UsageError when a folder or every image is absent.
    """
    output = real(output_dir)
    sources: list[Source] = []
    used: set[str] = set()
    for root in _each_once(folders):
        name = label = real(root).name or "images"
        number = 1
        while label in used:
            number += 1
            label = f"{name}#{number}"
        used.add(label)
        sources += [Source(f"{label}/{path.relative_to(root).as_posix()}", path, root) for path in find_images(root)
                    if output not in real(path).parents]
    if not sources:
        raise UsageError(f"No image files (.jpg, .png, .bmp, .webp, .tif, .avif, .heic) were found in {', '.join(folders)}; "
                         "check --data_dir.")
    return sources


def find_unread(folders: Sequence[str], output_dir: str | Path, sources: Sequence[Source]) -> list[str]:
    """Pictures and videos below ``folders`` that are not among the ``sources``: of kinds that are not read."""
    read = {source.path for source in sources}
    return [str(file) for root in _each_once(folders) for file in unread_files(root, read, output_dir)]


def _each_once(folders: Sequence[str]) -> list[Path]:
    seen: dict[Path, Path] = {}
    for folder in map(Path, folders):
        seen.setdefault(real(folder), folder)
    return list(seen.values())


class Labels:
    """Labels of photographs: csv tables in or beside the data folders or given by name, npy files, class folders."""

    def __init__(self, folders: Sequence[str], tables: Sequence[str] = ()) -> None:
        paths = [existing_file(table, "label table") for table in tables]
        for folder in dict.fromkeys(place for root in map(Path, folders) for place in (root, real(root).parent)):
            paths += [path for path in find_files(folder, recursive=False) if path.suffix.lower() == ".csv"]
        self._rows: dict[str, dict[str, str]] = {}
        for path in dict.fromkeys(paths):
            self._rows.update(read_label_table(path) or {})

    def of(self, source: Source) -> dict[str, Any]:
        """The fields known about ``source``: expression (number and name), valence, arousal, landmarks, face box."""
        fields = self._from_class_folder(source) | self._from_arrays(source) | self._from_tables(source)
        number = fields.get("expression", fields.get("label"))
        number = _FOLDER_NAMES.get(str(number).lower(), number)
        if isinstance(number, (int, float)) and 0 <= number < len(EXPRESSIONS):
            fields["expression"] = int(number)
            fields["expression_name"] = EXPRESSIONS[int(number)]
        return fields

    def _from_class_folder(self, source: Source) -> dict[str, Any]:
        number = _FOLDER_NAMES.get(source.path.parent.name.lower())
        return {} if number is None else {"expression": number}

    def _from_arrays(self, source: Source) -> dict[str, Any]:
        folder, stem = source.path.parent, source.path.stem
        for place in (folder.parent / "annotations", source.root / "annotations", folder):
            found = read_label_arrays(place, stem)
            if found:
                return found
        return {}

    def _from_tables(self, source: Source) -> dict[str, Any]:
        parts = source.path.relative_to(source.root).as_posix().lower().split("/")
        parts.insert(0, real(source.root).name.lower())
        row = next((self._rows[name] for name in ("/".join(parts[i:]) for i in range(len(parts))) if name in self._rows),
                   None)
        return {} if row is None else {name: _value(name, text) for name, text in row.items() if text.strip()}


def _value(column: str, text: str) -> Any:
    if column == "facial_landmarks":
        return [_number(word) for word in text.split(";")]
    return _number(text)


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return text
