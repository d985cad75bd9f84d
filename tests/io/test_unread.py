"""What a folder holds and is not read is counted and named."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from diffusionrig.capture.inputs import listed_inputs, unread_inputs
from diffusionrig.data.sources import find_sources, find_unread
from diffusionrig.editing.sides import unread_beside
from diffusionrig.io.images import find_images, png_bytes, write_png
from diffusionrig.io.unread import unread_files, unread_sentence

PICTURE = png_bytes(np.zeros((8, 8, 3), np.uint8))
STARTS = {"jpeg": b"\xff\xd8\xff\xe0", "webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ", "avif": b"\x00\x00\x00\x1cftypavif",
          "heic": b"\x00\x00\x00\x1cftypheic", "tiff": b"II*\x00\x08", "gif": b"GIF89a", "png": PICTURE}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "album"
    (place / "sub").mkdir(parents=True)
    (place / "results").mkdir()
    write_png(place / "a.png", np.zeros((8, 8, 3), np.uint8))
    for name, content in (("b.CR2", b"raw"), ("c.jxl", b"x"), ("d.mov", b"x"), ("e", PICTURE), ("sub/f.jpg_large", STARTS["jpeg"]),
                          ("notes.txt", b"words"), ("labels.csv", b"a,b"), ("empty", b""), (".hidden.cr2", b"raw"),
                          ("results/g.cr2", b"raw")):
        (place / name).write_bytes(content)
    return place


def test_other_kinds_and_names_without_an_ending_are_found(folder: Path) -> None:
    read = find_images(folder)
    names = ["b.CR2", "c.jxl", "d.mov", "e", "sub/f.jpg_large"]
    found = unread_files(folder, read, folder / "results")
    assert [file.relative_to(folder).as_posix() for file in found] == names
    assert unread_files(folder, [*read, folder / "d.mov"], folder / "results") == [file for file in found if file.name != "d.mov"]
    assert [file.name for file in unread_files(folder, read, recursive=False)] == names[:4]


@pytest.mark.parametrize("kind", STARTS)
def test_pictures_are_told_by_what_they_begin_with(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(STARTS[kind])
    (tmp_path / "y").write_bytes(b"?" + STARTS[kind])
    assert unread_files(tmp_path, []) == [tmp_path / "x"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert unread_files(tmp_path, []) == []


def test_they_are_counted_and_named_in_a_sentence() -> None:
    assert unread_sentence([]) == ""
    assert unread_sentence(["a.cr2"]) == "1 picture or video of another kind was not read: a.cr2."
    assert unread_sentence([f"{i}.cr2" for i in range(7)]) == (
        "7 pictures or videos of other kinds were not read: 0.cr2, 1.cr2, 2.cr2, 3.cr2, 4.cr2 and 2 more.")


def test_each_command_names_what_it_does_not_read_itself(folder: Path) -> None:
    out = str(folder / "results")
    stored = find_unread([str(folder), str(folder)], out, find_sources([str(folder)], out))
    assert [Path(file).name for file in stored] == ["b.CR2", "c.jxl", "d.mov", "e", "f.jpg_large"]
    # Capture reads videos too.
    captured = unread_inputs([str(folder)], listed_inputs([str(folder)]), out)
    assert [Path(file).name for file in captured] == ["b.CR2", "c.jxl", "e", "f.jpg_large"]
    assert unread_inputs([str(folder / "a.png")], [folder / "a.png"], out) == []
    edited = unread_beside(str(folder), out)
    assert [Path(entry["file"]).name for entry in edited] == ["b.CR2", "c.jxl", "d.mov", "e"]
    assert unread_beside(str(folder / "a.png"), out) == []
