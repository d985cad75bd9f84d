"""``diffusionrig synth --edits``: true edits of synthetic photographs whose codes stand for themselves."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.synthetic import sample_person, sample_scene
from diffusionrig.data.synthetic.edits import KINDS, edited_scene
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.series import Series, load_codes
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.files import read_json, sha256_of
from diffusionrig.io.images import read_image


def _synth(folder: Path, *more: str, count: int = 6, size: int = 32) -> int:
    return main(["synth", "--output_dir", str(folder), "--count", str(count), "--image_size", str(size), "--seed", "9",
                 "--edits", "2", *more])


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


def test_an_edit_is_always_the_same_and_changes_what_it_should(head):
    person, kinds = sample_person(3, 0, head), collections.Counter()
    scene = sample_scene(person, 3, 0, head)
    for edit in range(1, 80):
        code = edited_scene(scene, person, 3, 0, edit, head).code
        if edit < 4:
            again = edited_scene(scene, person, 3, 0, edit, head).code
            assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in code.tensors().items())
        for name in ("shape", "albedo", "crop", "frame"):
            assert torch.equal(getattr(code, name), getattr(scene.code, name)), name
        assert code.camera[0, 0] == scene.code.camera[0, 0]
        kinds[tuple(part for part, changed in (("pose", not torch.equal(code.pose[:, :3], scene.code.pose[:, :3])),
                                               ("exp", not torch.equal(code.expression, scene.code.expression)),
                                               ("light", not torch.equal(code.light, scene.code.light))) if changed)] += 1
    assert set(kinds) == set(KINDS)
    for kind, odds in KINDS.items():
        assert kinds[kind] / 79 == pytest.approx(odds, abs=0.13)


@pytest.mark.parametrize("edit", [1, 2, 5])
def test_the_code_stands_for_itself(head, edit):
    person = sample_person(3, 1, head)
    scene = sample_scene(person, 3, 0, head)
    own = edited_scene(scene, person, 3, 0, edit, head)
    # Editing keeps the head's centre by moving the mesh; the stored code does so by its camera.
    kept = scene.replace_code(own.code.replace(camera=scene.code.camera))
    ours, wanted, unchanged = (picture.astype(int) for picture in render_photographs([person] * 3, [own, kept, scene], head, 64))
    assert np.abs(ours - wanted).mean() < 0.5
    assert np.quantile(np.abs(ours - wanted), 0.99) <= 4
    assert np.abs(ours - unchanged).mean() > 1  # it is an edit


def test_a_folder_with_edits_grows_and_goes_on(tmp_path):
    assert _synth(tmp_path / "a", count=3) == 0
    (tmp_path / "a" / "photos" / "00001.png").unlink()
    assert _synth(tmp_path / "a") == 0
    assert read_json(tmp_path / "a" / "report.json")["made_in_this_run"] == 4
    assert read_json(tmp_path / "a" / "report.json")["people"] == 2
    assert _synth(tmp_path / "b") == 0
    names = sorted(path.name for path in (tmp_path / "a" / "photos").iterdir())
    assert names == [f"{i:05d}.png" for i in range(6)]
    for name in names:
        assert sha256_of(tmp_path / "a" / "photos" / name) == sha256_of(tmp_path / "b" / "photos" / name)
    # The photograph itself is the one of a series without edits.
    assert main(["synth", "--output_dir", str(tmp_path / "c"), "--count", "2", "--image_size", "32", "--seed", "9"]) == 0
    for plain, mixed in ((0, 0), (1, 3)):
        assert np.array_equal(read_image(tmp_path / "c" / "photos" / f"{plain:05d}.png"),
                              read_image(tmp_path / "a" / "photos" / f"{mixed:05d}.png"))


def test_a_store_of_edits(tmp_path, head):
    assert _synth(tmp_path / "store", "--lmdb", count=4) == 0
    assert _synth(tmp_path / "store", "--lmdb", count=9, size=32) == 0
    assert read_json(tmp_path / "store" / "report.json")["made_in_this_run"] == 5
    dataset = FaceStoreDataset(tmp_path / "store", head=head)
    assert len(dataset) == 9
    assert dataset.header["complete"]
    assert dataset.header["series"]["edits"] == 2
    assert [(fields["person"], fields["scene"]) for fields in dataset.fields()] == [(i // 3, 0) for i in range(9)]
    assert [dataset.item(i).source for i in range(3)] == ["synthetic/9/0/0", "synthetic/9/0/0/edit1", "synthetic/9/0/0/edit2"]
    assert _synth(tmp_path / "files", count=3) == 0
    codes = load_codes(tmp_path / "files")
    for i in range(3):
        stored = dataset.item(i).code
        assert stored is not None
        assert torch.equal(stored.camera, codes[i].camera)
        assert torch.equal(stored.expression, codes[i].expression)
        assert np.array_equal(dataset.item(i).image.permute(1, 2, 0).numpy(),
                              read_image(tmp_path / "files" / "photos" / f"{i:05d}.png"))


def test_who_is_on_a_picture():
    series = Series(8, 32, 0, photos_per_person=2, edits=1)
    assert [series.who(i) for i in range(8)] == [(0, 0), (0, 0), (0, 1), (0, 1), (1, 0), (1, 0), (1, 1), (1, 1)]
    assert [series.edit(i) for i in range(4)] == [0, 1, 0, 1]
    assert len({series.source(i) for i in range(8)}) == 8
    assert [Series(4, 32, 0, album=5, edits=1).who(i) for i in range(4)] == [(5, 0), (5, 0), (5, 1), (5, 1)]


def test_sentences(tmp_path, capsys):
    assert _synth(tmp_path / "run", count=2) == 0
    assert main(["synth", "--output_dir", str(tmp_path / "run"), "--count", "2", "--image_size", "32", "--seed", "9"]) == 2
    assert "edits 2, not 0" in capsys.readouterr().err
    assert _synth(tmp_path / "new", "--edits", "-1") == 2
    assert "fewer than no edits" in capsys.readouterr().err
