import json

import numpy as np
import pytest

from diffusionrig.cli import main
from diffusionrig.cli.doctor import healthy
from diffusionrig.editing.pretrained import DEFAULT_PRIOR
from diffusionrig.io.registered import registered_files


@pytest.fixture
def nothing_registered(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))


@pytest.mark.usefixtures("nothing_registered")
def test_the_shipped_default_is_found_and_what_is_missing_is_said(capsys):
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for word in ("torch", "cpu", "mpiexec", "[ok] open-head-1", "[ok] FIT", f"[ok] {DEFAULT_PRIOR}", "[--] DECA", "[--] EMOCA"):
        assert word in text
    assert "deca_model.tar" in text


@pytest.mark.usefixtures("nothing_registered")
def test_the_findings_come_as_json_too(capsys):
    assert main(["doctor", "--json", "True"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["torch"]
    usable = {row["encoder"]: row["usable"] for row in found["encoders"]}
    assert usable == {"DECA": False, "EMOCA": False, "SMIRK": False, "FIT": True}
    assert healthy(found)
    found["priors"] = []
    assert not healthy(found)


def rows(folder, capsys):
    assert main(["doctor", "--assets", str(folder), "--json", "True"]) == 0
    registered = json.loads(capsys.readouterr().out)["registered"]
    assert registered["folder"] == str(folder)
    return {row["file"]: row for row in registered["files"]}


def test_every_absent_file_comes_with_its_source_and_licence(tmp_path, capsys):
    found = rows(tmp_path, capsys)
    assert {row["state"] for row in found.values()} == {"absent"}
    for name in ("generic_model.pkl", "FLAME_texture.npz", "FLAME_albedo_from_BFM.npz", "deca_model.tar", "landmark_embedding.npy",
                 "mediapipe_landmark_embedding.npz", "head_template.obj", "texture_data_256.npy", "fixed_displacement_256.npy",
                 "uv_face_mask.png", "uv_face_eye_mask.png", "mean_texture.jpg", "emoca/EMOCA_v2_lr_mse_20", "SMIRK_em1.pt",
                 "l_eyelid.npy", "r_eyelid.npy"):
        row = found[name]
        assert row["site"] in row["note"]
        assert row["licence"] in row["note"]
        assert "https://" in row["site"]
    assert [name for name, row in found.items() if not row["optional"]] == [
        "generic_model.pkl", "FLAME_texture.npz", "deca_model.tar", "landmark_embedding.npy", "head_template.obj",
        "emoca/EMOCA_v2_lr_mse_20", "SMIRK_em1.pt"]


def test_complete_files_are_present(standin_folder, standin_optional_folder, tmp_path, capsys):
    for source in (standin_folder, standin_optional_folder):
        for path in source.iterdir():
            (tmp_path / path.name).symlink_to(path)
    found = rows(tmp_path, capsys)
    assert [name for name, row in found.items() if row["state"] != "present"] == ["flame2023_Open.pkl"]
    assert "another edition" in found["head_template.obj"]["note"]
    assert found["generic_model.pkl"]["note"] == ""


def test_each_wrong_file_is_said_to_be_wrong(tmp_path, capsys):
    names = [file.name for file in registered_files(tmp_path)]
    for name in names:
        path = tmp_path / name
        if name.startswith("emoca/"):
            (path / "detail" / "checkpoints").mkdir(parents=True)
            (path / "cfg.yaml").write_text("detail: {}")
            (path / "detail" / "checkpoints" / "a=1.0.ckpt").write_bytes(b"x")
        elif name.endswith("eyelid.npy"):
            np.save(path, np.zeros((5, 3)))
        else:
            path.write_bytes(b"something else")
    found = rows(tmp_path, capsys)
    assert {row["state"] for row in found.values()} == {"wrong"}
    for name, row in found.items():
        assert name in row["note"]
        assert "\n" not in row["note"]
    assert "(5, 3), but numbers of shape (5023, 3)" in found["l_eyelid.npy"]["note"]
    assert main(["doctor", "--assets", str(tmp_path)]) == 0
    assert "[!!] SMIRK_em1.pt: wrong - " in capsys.readouterr().out


def test_other_models_of_emoca_are_listed_too(tmp_path, capsys):
    (tmp_path / "emoca" / "EMOCA").mkdir(parents=True)
    (tmp_path / "emoca" / "EMOCA" / "cfg.yaml").write_text("detail: {}")
    found = rows(tmp_path, capsys)
    assert found["emoca/EMOCA"]["state"] == "wrong"
    assert "no checkpoint" in found["emoca/EMOCA"]["note"]
    assert found["emoca/EMOCA_v2_lr_mse_20"]["state"] == "absent"
