"""FLAME loaded from a folder of registered files, complete or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flame_arrays import flame_code

from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.flame import Flame
from diffusionrig.geometry.heads import head_names, load_head
from diffusionrig.geometry.registered_heads import EDITIONS
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.flame_files import read_flame, read_texture


@pytest.fixture
def folder(standin_head_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(standin_head_folder))
    return standin_head_folder


def linked(source: Path, target: Path, *without: str) -> Path:
    target.mkdir()
    for path in source.iterdir():
        if path.is_file() and path.name not in without:
            (target / path.name).symlink_to(path)
    return target


def test_flame_2020_is_what_its_files_say(folder: Path) -> None:
    head = load_head("flame-2020")
    assert isinstance(head, Flame)
    assert (head.name, head.v_template.shape, head.faces.shape) == ("flame-2020", (5023, 3), (9976, 3))
    assert (head.uv.shape, head.uv_faces.shape) == ((5118, 2), (9976, 3))
    arrays = read_flame(folder / "generic_model.pkl")
    code = flame_code(head)
    assert np.abs(head.vertices(code)[0].numpy() - arrays["v_template"]).max() < 1e-7
    moved = head.vertices(code.replace(expression=torch.eye(50)[7:8]))[0].numpy() - arrays["v_template"]
    assert np.abs(moved - arrays["shapedirs"][..., 307]).max() < 1e-7
    mean = np.asarray(read_texture(folder / "FLAME_texture.npz")["mean"], np.float64)
    assert np.abs(head.texture(code.albedo)[0].numpy() - mean[::2, ::2, ::-1].transpose(2, 0, 1) / 255).max() < 1e-6
    assert load_head("flame-2020") is head


def test_its_regions_lie_where_they_should(folder: Path) -> None:
    head = load_head("flame-2020")
    x, _, z = head.v_template.T
    regions = head.regions
    assert set(regions) == {"eyes", "face", "face_and_eyes"}
    assert z[regions["face"] > 0.5].mean() > z[regions["face"] < 0.5].mean() + 0.02
    eyes = regions["eyes"] > 0.5
    assert 100 < int(eyes.sum()) < 2000
    assert abs(float(x[eyes].mean())) < 2e-3
    assert float(x[eyes].abs().mean()) > 0.02


def test_landmarks_lie_in_the_order_of_the_68(folder: Path) -> None:
    head = load_head("flame-2020")
    code = flame_code(head)
    points = head.landmarks(head.vertices(code), code)[0]
    assert points[36:42, 0].max() < 0 < points[42:48, 0].min()
    assert points[0, 0] < points[48, 0] < 0 < points[54, 0] < points[16, 0]
    assert points[8, 1] < points[57, 1] < points[51, 1] < points[30, 1] < points[27, 1] < points[19, 1]


def test_the_2023_edition_and_the_basel_albedo_have_names_of_their_own(
        folder: Path, standin_optional_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = linked(folder, tmp_path / "both")
    for path in standin_optional_folder.iterdir():
        (both / path.name).symlink_to(path)
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(both))
    heads = {name: load_head(name) for name in ("flame-2020", "flame-2020-bfm", "flame-2023")}
    assert {name: head.name for name, head in heads.items()} == {name: name for name in heads}
    usual, basel = heads["flame-2020"], heads["flame-2020-bfm"]
    assert torch.equal(usual.v_template, basel.v_template)
    assert usual.hash != basel.hash
    space = read_texture(both / "FLAME_albedo_from_BFM.npz")
    mean = np.asarray(space["MU"], np.float64).reshape(512, 512, 3)[::2, ::2, ::-1].transpose(2, 0, 1)
    assert np.abs(basel.texture(torch.zeros(1, 50))[0].numpy() - mean).max() < 1e-6


@pytest.mark.parametrize(("without", "told"), [
    (("generic_model.pkl",), ("generic_model.pkl", "https://flame.is.tue.mpg.de", "registration required")),
    (("landmark_embedding.npy", "head_template.obj"), ("landmark_embedding.npy", "head_template.obj", "DECA")),
    (("FLAME_texture.npz",), ("FLAME_texture.npz", "non-commercial")),
])
def test_absent_files_are_named_with_where_to_get_them(standin_head_folder: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch, without, told) -> None:
    part = linked(standin_head_folder, tmp_path / "part", *without)
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(part))
    with pytest.raises(UsageError, match="flame-2020 needs what is not in") as raised:
        load_head("flame-2020")
    text = str(raised.value)
    assert all(word in text for word in told)
    assert "DIFFUSIONRIG_DATA" in text
    assert "\n" not in text


def test_masks_are_not_needed(standin_head_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = linked(standin_head_folder, tmp_path / "part", "uv_face_mask.png", "uv_face_eye_mask.png")
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(part))
    assert set(load_head("flame-2020").regions) == {"eyes"}


def test_plain_copies_will_do(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = linked(folder, tmp_path / "part", "generic_model.pkl", "FLAME_texture.npz")
    write_array_file(part / "generic_model.npz", read_flame(folder / "generic_model.pkl"))
    write_array_file(part / "FLAME_texture_50.npz", read_texture(folder / "FLAME_texture.npz"))
    original = load_head("flame-2020")
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(part))
    assert load_head("flame-2020").hash == original.hash


def test_a_template_of_another_mesh_is_told(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = linked(folder, tmp_path / "part", "head_template.obj")
    lines = (folder / "head_template.obj").read_text().splitlines()
    faces = [i for i, line in enumerate(lines) if line.startswith("f ")]
    lines[faces[0]], lines[faces[1]] = lines[faces[1]], lines[faces[0]]
    (part / "head_template.obj").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(part))
    with pytest.raises(RigError, match=r"head_template.obj.*does not list the triangles of.*generic_model.pkl"):
        load_head("flame-2020")


def test_a_damaged_file_is_told_and_names_are_known(standin_head_folder: Path, tmp_path: Path,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    part = linked(standin_head_folder, tmp_path / "part", "head_template.obj")
    (part / "head_template.obj").write_text("v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1\n")
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(part))
    with pytest.raises(RigError, match=r"head_template\.obj"):
        load_head("flame-2020")
    assert head_names() == ("open-head-1", *EDITIONS)
    with pytest.raises(UsageError, match="no head model 'flame-2019'"):
        load_head("flame-2019")
