"""Files that stand where others were meant, and paths beside the right one: each is said for what it is, or taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reaction_corpora import written
from training.tiny import write_store

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.editing.sides import list_pictures
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.arrays import read_npy
from diffusionrig.io.checkpoints import load_checkpoint, load_released, load_weights
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.files import existing_file
from diffusionrig.io.images import read_image, write_png
from diffusionrig.io.lmdb_files import is_store
from diffusionrig.io.npz import read_arrays
from diffusionrig.io.sound import read_sound
from diffusionrig.io.store import StoreReader, open_store
from diffusionrig.io.wav import read_wav
from diffusionrig.reactions.corpus import Corpus

POINTER = (b"version https://git-lfs.github.com/spec/v1\n"
           b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n")
PAGES = (b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>", b"\xef\xbb\xbf\n  <html lang='en'>")
READERS = {"model.pt": load_released, "model.pth": load_weights, "model.safetensors": load_checkpoint, "face.jpg": read_image,
           "values.npy": read_npy, "values.npz": lambda path: read_arrays(path.read_bytes(), str(path)), "sound.wav": read_wav,
           "clip.mp4": read_sound, "film.mp4": ClipFrames, "data.mdb": lambda path: StoreReader(path.parent)}


@pytest.mark.parametrize("name", READERS)
def test_pointers_and_web_pages_are_called_what_they_are(name: str, tmp_path: Path) -> None:
    for content, words in ((POINTER, "is a pointer of Git LFS, not the file itself; run 'git lfs pull'"),
                           *((page, "is a web page, not the file itself; the download asked for") for page in PAGES)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RigError, match=words) as caught:
            READERS[name](tmp_path / name)
        assert name in str(caught.value)
        assert caught.value.exit_code == 1


def test_other_text_is_not_taken_for_a_page(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("version https://example.org <html>")
    assert existing_file(tmp_path / "a.txt", "text") == tmp_path / "a.txt"


def test_a_pointer_among_photographs_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    write_png(tmp_path / "in" / "grey.png", np.full((64, 64, 3), 128, np.uint8))
    (tmp_path / "in" / "face.jpg").write_bytes(POINTER)
    assert main(["align", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert "face.jpg is a pointer of Git LFS" in said.out + said.err


def test_the_file_of_a_store_stands_for_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = write_store(tmp_path / "store")
    file = Path(store) / "data.mdb"
    assert is_store(store)
    assert is_store(file)
    assert not is_store(tmp_path)
    assert len(open_store(file)) == len(open_store(store))
    assert FaceStoreDataset(file).path == Path(store)
    with pytest.raises(UsageError, match=f"There is no store at {tmp_path}, but a folder deeper: give {store}"):
        FaceStoreDataset(tmp_path)
    assert main(["inspect", str(tmp_path)]) == 2
    assert f"give {store}" in capsys.readouterr().err


def test_folders_one_level_off_are_named(tmp_path: Path) -> None:
    (tmp_path / "album" / "album").mkdir(parents=True)
    with pytest.raises(UsageError, match="holds no images; align photographs into it first"):
        list_pictures(str(tmp_path / "album"), "source")
    write_png(tmp_path / "album" / "album" / "a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match=f"a folder deeper there are some, so give {tmp_path / 'album' / 'album'}"):
        list_pictures(str(tmp_path / "album"), "source")
    root = written()
    for wrong in (root / "val", root.parent):
        with pytest.raises(UsageError, match=r"give the folder that holds train, val and test, which .* is\."):
            Corpus.open(wrong)
    with pytest.raises(UsageError, match=r"test\.$"):
        Corpus.open(tmp_path / "album")
