"""``diffusionrig capture`` and the flags of EMOCA's demo script on stand-ins of the registered files, at full size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusionrig.capture.choosing import Choice, chosen_encoder
from diffusionrig.capture.saved_codes import load_codes
from diffusionrig.cli import main, run_command
from diffusionrig.errors import UsageError
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image, write_png

MODEL = "EMOCA_v2_lr_mse_20"
PICTURES = {"inputs.png", "geometry_coarse.png", "geometry_detail.png", "out_im_coarse.png", "out_im_detail.png", "overlay.png",
            "shape.png", "rendered.png"}
CODES = {f"{name}.npy" for name in ("shape", "exp", "tex", "pose", "detail", "cam", "light", "crop")}
MESHES = {"mesh_coarse.obj", "mesh_coarse.mtl", "mesh_coarse.png", "mesh_coarse_normals.png", "mesh_coarse_detail.obj"}
DETAIL = {"geometry_detail.png", "out_im_detail.png", "detail.npy", "mesh_coarse_normals.png", "mesh_coarse_detail.obj"}


@pytest.fixture(autouse=True)
def registered(standin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(standin_folder))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    portrait = read_image(asset_path("portrait.jpg"))
    write_png(folder / "first.png", portrait)
    write_png(folder / "second.png", portrait[:, ::-1])
    write_png(folder / "wall.png", np.full((120, 120, 3), 90, np.uint8))
    return folder


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_emoca_writes_what_its_demo_writes(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["capture", str(photos), "-o", str(out), "--model_name", MODEL, "--device", "cpu", "--image_size", "96"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert (report["encoder"], report["model"], report["head"], report["detail"]) == ("EMOCA", MODEL, "flame-2020", True)
    assert report["missing_files"] == []
    assert {"deca.flame", "deca.uv_face_eye_mask", "deca.perceptual_loss", "emonet_loss.backbone"} <= set(report["left_out"])
    assert not any(name.startswith(("deca.E_", "deca.D_")) for name in report["left_out"])
    assert [row.get("folder") for row in report["images"]] == [f"{MODEL}/first00", f"{MODEL}/second00", None]
    assert files(out) == {MODEL, "codes.npz", "contact_sheet.png", "report.json"}
    codes, sources = load_codes(out / "codes.npz")
    assert sources == [str(photos / "first.png"), str(photos / "second.png")]
    for row, name in enumerate(("first00", "second00")):
        face = out / MODEL / name
        assert files(face) == PICTURES | CODES | MESHES
        for file, part in (("exp", "expression"), ("shape", "shape"), ("tex", "albedo"), ("pose", "pose"), ("light", "light")):
            assert (np.load(face / f"{file}.npy") == getattr(codes, part)[row].numpy()).all(), file
    lines = (out / MODEL / "first00" / "mesh_coarse.obj").read_text().splitlines()
    counts = [sum(line.startswith(word) for line in lines) for word in ("v ", "vt ", "f ")]
    assert counts == [5023, 5118, 9976]
    # The stand-in has no texture space, as the release: where the picture is all head, it is grey.
    drawn = np.asarray(Image.open(out / MODEL / "first00" / "out_im_coarse.png")).astype(int)
    assert drawn.shape == (224, 224, 3)


def test_the_published_flags_and_their_defaults(photos: Path, tmp_path: Path, standin_folder: Path,
                                                monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIFFUSIONRIG_DATA")
    assert run_command("emoca-demo", ["--input_folder", "photos", "--model_name", "DECA", "--assets", str(standin_folder)],
                       "scripts/capture.py") == 0
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(standin_folder))
    assert files(tmp_path / "image_output" / "DECA" / "first00") == PICTURES
    assert not (tmp_path / "image_output" / "codes.npz").exists()
    assert run_command("emoca-demo", ["--input_folder", "photos/first.png", "--output_folder", "coarse", "--model_name", "DECA",
                                      "--save_images", "False", "--save_codes", "True", "--save_mesh", "True", "--mode",
                                      "coarse"]) == 0
    assert files(tmp_path / "coarse" / "DECA" / "first00") == (CODES | MESHES) - DETAIL
    # The models' folder is the published default, which is not here.
    assert run_command("emoca-demo", ["--input_folder", "photos", "--path_to_models", "elsewhere"], "scripts/capture.py") == 2
    assert f"There is no EMOCA model '{MODEL}' in elsewhere (no model is there)" in capsys.readouterr().err
    assert run_command("emoca-demo", [], "scripts/capture.py") == 2
    assert "affectnet_test_examples; check the path" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "words"), [
    (["--model_name", "EMOCA_v2_mp"], f"There is no EMOCA model 'EMOCA_v2_mp' in DATA/emoca (there are {MODEL})"),
    (["--model_name", "EMOCA_v2_mp", "--use_model", "DECA"], "is a model of EMOCA, but --use_model is DECA"),
    (["--model_name", "SMIRK", "--use_model", "DECA"], "name two encoders; give one of them"),
    (["--model_name", "EMOCA"], f"There is no EMOCA model 'EMOCA' in DATA/emoca (there are {MODEL})"),
    (["--use_model", "DECA", "--head", "open-head-1"], "makes codes of the head model flame-2020, not of open-head-1"),
    (["--use_model", "DECA", "--head", "smpl"], "There is no head model 'smpl'"),
])
def test_contradictions_are_one_sentence(flags: list[str], words: str, photos: Path, tmp_path: Path, standin_folder: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", str(photos), "-o", str(tmp_path / "out"), *flags]) == 2
    error = capsys.readouterr().err
    assert words.replace("DATA", str(standin_folder)) in error
    assert error.count("\n") == 1


def test_other_models_of_emoca_are_encoders_by_the_names_of_their_folders(photos: Path, tmp_path: Path, standin_folder: Path,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for path in standin_folder.iterdir():
        if path.name != "emoca":
            (data / path.name).symlink_to(path)
    for name in ("EMOCA", "EMOCA_v2_mp"):
        (data / "emoca").mkdir(exist_ok=True)
        (data / "emoca" / name).symlink_to(standin_folder / "emoca" / MODEL)
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(data))
    encoder, head, folder = chosen_encoder(Choice("EMOCA_v2_mp"), "cpu")
    assert (encoder.name, head, folder) == ("EMOCA_v2_mp", "flame-2020", "EMOCA_v2_mp")
    # In the published script EMOCA is version 1, here also the usual model of --use_model.
    encoder, _, folder = chosen_encoder(Choice(model="EMOCA"), "cpu")
    assert (encoder.name, folder) == ("EMOCA", "EMOCA")
    with pytest.raises(UsageError, match=f"needs the files emoca/{MODEL}/cfg.yaml"):
        chosen_encoder(Choice("EMOCA"), "cpu")
    encoder, _, folder = chosen_encoder(Choice("EMOCA", path_to_models=str(standin_folder / "emoca")), "cpu")
    assert (encoder.name, folder) == ("EMOCA", MODEL)
    with pytest.raises(UsageError, match="makes codes of the head model flame-2020, not of open-head-1"):
        chosen_encoder(Choice(model="EMOCA_v2_mp", path_to_models=str(data / "emoca"), head="open-head-1"), "cpu")
