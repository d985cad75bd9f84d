"""``diffusionrig synth``: files, stores, continuing, and its sentences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.synthetic import sample_person, sample_scene
from diffusionrig.data.synthetic.series import load_codes
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.files import read_json, sha256_of
from diffusionrig.io.images import read_image, read_png_text


def _synth(folder: Path, *more: str, count: int = 3) -> int:
    return main(["synth", "--output_dir", str(folder), "--count", str(count), "--image_size", "64", "--seed", "4", *more])


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "people"
    assert _synth(folder) == 0
    return folder


def test_a_folder_of_photographs_with_their_codes(people: Path) -> None:
    photos = sorted((people / "photos").iterdir())
    assert [photo.name for photo in photos] == ["00000.png", "00001.png", "00002.png"]
    assert read_image(photos[0]).shape == (64, 64, 3)
    assert "synthetic" in read_png_text(photos[0])["Comment"]
    codes, head = load_codes(people), load_head()
    assert len(codes) == 3
    expected = sample_scene(sample_person(4, 1, head), 4, 0, head).code
    for name, tensor in expected.tensors().items():
        assert torch.equal(codes[1].tensors()[name], tensor), name
    report = read_json(people / "report.json")
    assert report["photographs"] == report["people"] == 3
    assert (people / "contact_sheet.png").exists()


def test_a_run_continues_and_may_grow(tmp_path: Path, people: Path) -> None:
    folder = tmp_path / "again"
    assert _synth(folder, count=2) == 0
    kept = (folder / "photos" / "00000.png").stat().st_mtime_ns
    (folder / "photos" / "00001.png").unlink()
    assert _synth(folder) == 0
    assert read_json(folder / "report.json")["made_in_this_run"] == 2
    assert (folder / "photos" / "00000.png").stat().st_mtime_ns == kept
    for photo in sorted((people / "photos").iterdir()):
        assert sha256_of(photo) == sha256_of(folder / "photos" / photo.name)


def test_a_store_holds_the_same(tmp_path: Path, people: Path) -> None:
    store = tmp_path / "people.lmdb"
    assert _synth(store, "--lmdb", count=2) == 0
    assert _synth(store, "--lmdb") == 0
    assert read_json(store / "report.json")["made_in_this_run"] == 1
    dataset = FaceStoreDataset(store, head=load_head())
    assert len(dataset) == 3
    codes = load_codes(people)
    for index in range(3):
        sample = dataset.item(index)
        photo = read_image(people / "photos" / f"{index:05d}.png")
        assert np.array_equal(sample.image.permute(1, 2, 0).numpy(), photo)
        assert sample.code is not None
        assert torch.equal(sample.code.expression, codes[index].expression)
    assert dataset.header["encoder"] == "synth"
    assert np.allclose(dataset.header["mean_shape"], codes.shape.mean(0).numpy(), atol=1e-6)


def test_an_album_shows_one_person(tmp_path: Path) -> None:
    assert _synth(tmp_path / "album", "--album", "5", count=2) == 0
    codes = load_codes(tmp_path / "album")
    assert torch.equal(codes.shape[0], codes.shape[1])
    assert not torch.equal(codes.expression[0], codes.expression[1])
    assert torch.equal(codes.shape[:1], sample_person(4, 5, load_head()).shape)


def test_sentences(tmp_path: Path, people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth"]) == 2
    assert "--output_dir" in capsys.readouterr().err
    assert _synth(people, "--yaw_limit", "10") == 2
    assert "yaw_limit 40.0, not 10.0" in capsys.readouterr().err
    assert _synth(people, count=1) == 2
    assert "more than 1" in capsys.readouterr().err
    (tmp_path / "letter.txt").write_text("mine")
    for more in ([], ["--lmdb"]):
        assert _synth(tmp_path, *more) == 2
        assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "letter.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt"]
    assert _synth(tmp_path / "letter.txt") == 2
    assert "is a file" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no codes of a series"):
        load_codes(tmp_path)
    (tmp_path / "codes.npz").write_bytes(b"PK nothing")
    with pytest.raises(RigError, match="damaged"):
        load_codes(tmp_path)


@pytest.mark.slow
def test_workers_make_the_same(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        assert _synth(tmp_path / workers, "--workers", workers, count=34) == 0
    for photo in sorted((tmp_path / "1" / "photos").iterdir()):
        assert sha256_of(photo) == sha256_of(tmp_path / "2" / "photos" / photo.name)
