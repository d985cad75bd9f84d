"""convert-assets: what the plain copies say is what the originals say, and nothing is overwritten unasked."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from standins.hostile import torch_bytes

from diffusionrig.cli import main
from diffusionrig.io.encoder_files import emoca_left_out, read_deca, read_emoca, read_smirk
from diffusionrig.io.flame_files import read_flame, read_landmark_embedding, read_texture, read_texture_data
from diffusionrig.io.registered import find, missing_files, registered_files

EMOCA = "emoca/EMOCA_v2_lr_mse_20"
COPIES = ("generic_model.npz", "landmark_embedding.npz", "texture_data_256.npz", "FLAME_texture_50.npz", "deca_model.safetensors",
          "SMIRK_em1.safetensors", f"{EMOCA}/emoca.safetensors")
READERS = {"generic_model.pkl": read_flame, "landmark_embedding.npy": read_landmark_embedding,
           "texture_data_256.npy": read_texture_data, "FLAME_texture.npz": read_texture, "deca_model.tar": read_deca,
           "SMIRK_em1.pt": read_smirk, EMOCA: read_emoca}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    return bool(a.dtype == b.dtype and np.array_equal(a, b)) if isinstance(a, np.ndarray) else bool(a == b)


@pytest.fixture(scope="module")
def converted(standin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The stand-ins converted into a folder of their own."""
    output = tmp_path_factory.mktemp("converted")
    assert main(["convert-assets", "--assets", str(standin_folder), "--output", str(output)]) == 0
    yield output
    shutil.rmtree(output)


def report(folder: Path) -> dict[str, str]:
    return {row["file"]: row["action"] for row in json.loads((folder / "convert-assets.json").read_text())["files"]}


def test_another_folder_becomes_complete_and_holds_no_pickle(converted: Path) -> None:
    for name in COPIES:
        assert (converted / name).is_file(), name
    assert not [path for path in converted.rglob("*") if path.suffix in {".pkl", ".tar", ".pt", ".ckpt"}]
    for path in converted.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as archive:
            assert all(archive[name].dtype.kind in "fiu" for name in archive.files)
    actions = report(converted)
    assert actions["generic_model.pkl"] == actions[EMOCA] == "converted"
    assert actions["head_template.obj"] == actions["uv_face_mask.png"] == actions["l_eyelid.npy"] == "copied"
    assert actions["flame2023.pkl"] == "absent"


@pytest.mark.parametrize("name", READERS)
def test_the_plain_copy_says_what_the_original_says(standin_folder: Path, converted: Path, name: str) -> None:
    assert same(READERS[name](standin_folder / name), READERS[name](converted / name))


def test_encoders_and_heads_find_their_files_in_it(converted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(converted))
    assert missing_files(["generic_model.pkl", "landmark_embedding.npy", "head_template.obj", "FLAME_texture.npz", "deca_model.tar",
                          "SMIRK_em1.pt", f"{EMOCA}/cfg.yaml", f"{EMOCA}/detail/checkpoints/**/*.ckpt"]) == []
    assert missing_files(["flame2023.pkl", "emoca/EMOCA/cfg.yaml"]) == ["flame2023.pkl", "emoca/EMOCA/cfg.yaml"]
    findings = {file.name: find(file) for file in registered_files()}
    assert {name for name, found in findings.items() if found.state != "present"} == {
        "flame2023.pkl", "flame2023_Open.pkl", "FLAME_albedo_from_BFM.npz"}
    assert {name for name, found in findings.items() if found.converted} == set(READERS)
    assert emoca_left_out(converted / EMOCA) == {}


def test_a_second_run_keeps_what_is_there(converted: Path, standin_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: (converted / name).stat().st_mtime_ns for name in COPIES}
    assert main(["convert-assets", "--assets", str(standin_folder), "--output", str(converted)]) == 0
    assert before == {name: (converted / name).stat().st_mtime_ns for name in COPIES}
    assert "0 converted" in capsys.readouterr().out


@pytest.fixture
def small(standin_folder: Path, tmp_path: Path) -> Path:
    """A folder of the user's with one table, two plain files, and nothing else."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("landmark_embedding.npy", "l_eyelid.npy", "r_eyelid.npy"):
        shutil.copy(standin_folder / name, folder / name)
    return folder


def test_beside_the_original_the_newer_of_both_is_read(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    original, copy = small / "landmark_embedding.npy", small / "landmark_embedding.npz"
    os.utime(original, ns=(2**62, 2**62))  # a clock that runs ahead
    assert main(["convert-assets", "--assets", str(small)]) == 0
    assert report(small)["l_eyelid.npy"] == "plain"
    wanted = read_landmark_embedding(original)
    original.write_bytes(b"damaged meanwhile")
    os.utime(original, (1, 1))
    assert same(read_landmark_embedding(original), wanted)
    os.utime(copy, ns=(0, 0))
    capsys.readouterr()
    assert main(["convert-assets", "--assets", str(small)]) == 0
    assert "older than landmark_embedding.npy and is not used; give --overwrite" in capsys.readouterr().out
    assert main(["convert-assets", "--assets", str(small), "--overwrite"]) == 1
    assert "[!!] landmark_embedding.npy: refused - " in capsys.readouterr().out
    assert same(read_landmark_embedding(copy.with_suffix(".npy")) if os.utime(copy) is None else {}, wanted)


def test_overwriting_makes_the_copy_again(small: Path) -> None:
    copy = small / "landmark_embedding.npz"
    copy.write_bytes(b"half a copy")
    assert main(["convert-assets", "--assets", str(small)]) == 0
    assert copy.read_bytes() == b"half a copy"
    assert main(["convert-assets", "--assets", str(small), "--overwrite", "True"]) == 0
    assert read_landmark_embedding(copy.with_suffix(".npy"))["full_faces"].shape == (68,)


def test_a_folder_with_only_the_copies_is_plain_already(small: Path, tmp_path: Path) -> None:
    assert main(["convert-assets", "--assets", str(small)]) == 0
    (small / "landmark_embedding.npy").unlink()
    assert main(["convert-assets", "--assets", str(small)]) == 0
    assert report(small)["landmark_embedding.npy"] == "plain"
    assert main(["convert-assets", "--assets", str(small), "--output", str(tmp_path / "new")]) == 0
    assert report(tmp_path / "new")["landmark_embedding.npy"] == "copied"


def test_one_bad_file_does_not_keep_the_others(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from processes import Touch

    (small / "deca_model.tar").write_bytes(torch_bytes({"E_flame": Touch(tmp_path / "ran")}, True))
    (small / "l_eyelid.npy").write_bytes(b"x")
    assert main(["convert-assets", "--assets", str(small), "--output", str(tmp_path / "out")]) == 1
    out = capsys.readouterr().out
    assert f"[!!] deca_model.tar: refused - {small}/deca_model.tar was refused: the pickle names" in out
    assert "[!!] l_eyelid.npy: refused" in out
    assert (tmp_path / "out" / "landmark_embedding.npz").is_file()
    assert not (tmp_path / "out" / "deca_model.safetensors").exists()
    assert main(["convert-assets", "--assets", str(small)]) == 1
    assert "[!!] l_eyelid.npy: refused" in capsys.readouterr().out
    assert not (tmp_path / "ran").exists()


def test_misuse_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path / "none"))
    assert main(["convert-assets"]) == 2
    assert main(["convert-assets", "--assets", str(tmp_path / "gone")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert "There is no folder" in lines[0]
    assert str(tmp_path / "gone") in lines[1]
    assert os.environ["DIFFUSIONRIG_DATA"] == str(tmp_path / "none")
