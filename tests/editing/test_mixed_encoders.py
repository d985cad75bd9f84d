"""Source and target captured by different encoders of one head model, from stand-ins at full size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from seed_faces import MODEL

from diffusionrig.cli import main
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.rig import Request, Rig, Sampling
from diffusionrig.errors import UsageError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.assets import asset_path
from diffusionrig.io.checkpoints import save_checkpoint
from diffusionrig.model.network import build_network

PORTRAIT = str(asset_path("portrait.jpg"))


@pytest.fixture(autouse=True)
def registered(standin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(standin_folder))


def trained(folder: Path, head: str) -> Path:
    known = load_head(head)
    path = folder / f"{head}.safetensors"
    save_checkpoint(path, build_network(MODEL, seed=3).state_dict(), {
        "model": MODEL.to_dict(), "diffusion": DiffusionConfig().to_dict(), "head": {"name": known.name, "hash": known.hash},
        "step": 0, "consent": "none needed"})
    return path


def test_any_pair_of_encoders_of_one_head_may_be_mixed(tmp_path: Path) -> None:
    rig = Rig.from_pretrained(trained(tmp_path, "flame-2020"), device="cpu")
    faces = {name: rig.capture(PORTRAIT, name) for name in ("DECA", "EMOCA", "SMIRK")}
    codes = {name: analysis.code for name, analysis in faces.items()}
    for source, target in (("DECA", "EMOCA"), ("EMOCA", "SMIRK"), ("SMIRK", "DECA")):
        requests = [Request(0, 0, edit) for edit in parse_modes("pose,exp,light")]
        drawn = rig.edit_many(faces[source], faces[target], requests, sampling=Sampling(respacing="ddim2"))
        pose, exp, light = (result.code for result in drawn)
        assert torch.equal(pose.pose[:, :3], codes[target].pose[:, :3])
        assert torch.equal(pose.expression, codes[source].expression)
        assert torch.equal(exp.expression, codes[target].expression)
        assert torch.allclose(exp.pose[:, 3:], codes[target].pose[:, 3:], atol=1e-6)
        assert torch.equal(exp.pose[:, :3], codes[source].pose[:, :3])
        assert torch.equal(exp.shape, codes[source].shape)
        assert torch.equal(light.light, codes[target].light)
    # What the three share is DECA's, bit for bit.
    for name in ("shape", "albedo", "light", "camera"):
        assert torch.equal(getattr(codes["EMOCA"], name), getattr(codes["DECA"], name)), name
        assert torch.equal(getattr(codes["SMIRK"], name), getattr(codes["DECA"], name)), name
    expressions = [codes[name].expression for name in ("DECA", "EMOCA", "SMIRK")]
    assert not any(torch.equal(expressions[i], expressions[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_another_head_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "EMOCA makes codes of the head model flame-2020, not of open-head-1"
    model = trained(tmp_path, "open-head-1")
    with pytest.raises(UsageError, match=words):
        Rig.from_pretrained(model, device="cpu").capture(PORTRAIT, "EMOCA")
    assert main(["edit", "--model_path", str(model), "--source", PORTRAIT, "--target", PORTRAIT, "--source_model", "FIT",
                 "--target_model", "EMOCA", "--output_dir", str(tmp_path / "out"), "--timestep_respacing", "ddim2"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_the_flags_of_the_command_name_both(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["edit", "--model_path", str(trained(tmp_path, "flame-2020")), "--source", PORTRAIT, "--target", PORTRAIT,
                 "--source_model", "DECA", "--target_model", "EMOCA", "--modes", "exp", "--output_dir", str(out),
                 "--timestep_respacing", "ddim2", "--device", "cpu"]) == 0
    assert (out / "0_exp.png").is_file()
    assert json.loads((out / "report.json").read_text())["request"]["encoders"] == ["DECA", "EMOCA"]
