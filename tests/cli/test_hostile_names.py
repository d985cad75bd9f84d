"""Names that are no text, as long as a disk allows, or steer a terminal: through every command that takes photographs."""

import json
import os
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from seed_rig import reference_checkpoint

from diffusionrig.capture.curation import album as album_module
from diffusionrig.cli import main
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image, write_png
from diffusionrig.io.store import open_store
from diffusionrig.shown import one_line

__all__ = ["reference_checkpoint"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold such names")
NAMES = {"no text": os.fsdecode(b"\xff\xfe caf\xe9"), "long": "n" * 123 + "é" * 61 + "n",
         "control": "red \x1b[31m\nline\t\u202e\u200b",
         "flag": "--help", "pattern": "[a-z]*?{}%s%d'\"$HOME;"}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The portrait under each name; some lighter than others, so that they are not the same."""
    folder = tmp_path_factory.mktemp("photographs")
    head = cv2.resize(read_image(asset_path("portrait.jpg"))[:340, 60:400], (240, 240), interpolation=cv2.INTER_AREA)
    for number, name in enumerate(NAMES.values()):
        write_png(folder / f"{name}.png", (head * (1 - 0.1 * number)).astype(np.uint8))
    assert max(len(os.fsencode(file)) for file in os.listdir(folder)) >= 250
    return folder


class Everybody:
    """An embedding in which all are the same person."""

    name, same = "everybody", 0.5

    def embed(self, images):
        return torch.ones(len(images), 4) / 2


def run(capfd: pytest.CaptureFixture[str], *words: object) -> str:
    """What a command printed, after it went well: text, without anything that steers the terminal."""
    assert main([str(word) for word in words]) == 0, capfd.readouterr().err
    out, err = capfd.readouterr()
    for text in (out, err.replace("\r", "")):
        assert all(one_line(line.replace("\t", " ")[:1000]) == line.replace("\t", " ")[:1000] for line in text.split("\n"))
        text.encode()
    assert "Traceback" not in err
    return out


@pytest.fixture(scope="module")
def aligned(photographs, tmp_path_factory):
    target = tmp_path_factory.mktemp("aligned")
    assert main(["align", "-i", str(photographs), "-o", str(target), "-s", "64", "--workers", "1"]) == 0
    return target


def test_align(aligned):
    assert sorted(file.name for file in aligned.glob("*.png")) == sorted(f"{name}.png" for name in NAMES.values())
    report = json.loads((aligned / "report.json").read_text())
    assert {entry["file"]: entry["status"] for entry in report["files"]} == {f"{name}.png": "aligned" for name in NAMES.values()}


def test_capture(photographs, tmp_path, capfd):
    run(capfd, "capture", photographs, "-o", tmp_path / "out", "--image_size", 48, "--save_mesh", "False", "--device", "cpu")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["counts"]["captured"] == len(NAMES)


def test_create_data(aligned, tmp_path, capfd):
    run(capfd, "create-data", "--data_dir", aligned, "--output_dir", tmp_path / "store", "--image_size", 32, "--device", "cpu",
        "--num_workers", 1)
    store = open_store(tmp_path / "store")
    assert sorted(Path(store.record(i).source).name for i in range(len(store))) == sorted(f"{name}.png" for name in NAMES.values())
    assert f" {len(NAMES)} of 32 x 32 pixels" in run(capfd, "inspect", tmp_path / "store", "--output", tmp_path / "sheet.png")


def test_curate(photographs, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(album_module, "make_identity", lambda name, device: Everybody())
    album = shutil.copytree(photographs, tmp_path / "album")
    text = run(capfd, "curate", album, "-o", tmp_path / "out", "--min_face", 20, "--min_sharpness", 0, "--device", "cpu", "--apply")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    verdicts = {entry["file"]: entry["verdict"] for entry in report["photographs"]}
    assert sorted(verdicts) == sorted(f"{name}.png" for name in NAMES.values())
    kept = sorted(name for name, verdict in verdicts.items() if verdict == "kept")
    assert kept
    assert sorted(os.listdir(tmp_path / "out" / "kept")) == kept == sorted(os.listdir(album))
    assert sorted(os.listdir(tmp_path / "out" / "rejected")) == sorted(set(verdicts) - set(kept))
    assert "shows the same as" in text


@pytest.mark.parametrize(("name", "target"), [("no text", "control"), ("control", "long"), ("long", "flag")])
def test_edit(name, target, photographs, reference_checkpoint, tmp_path, capfd):
    source = photographs / f"{NAMES[name]}.png"
    run(capfd, "edit", "--source", source, "--target", photographs / f"{NAMES[target]}.png", "--modes", "exp", "--model_path",
        reference_checkpoint, "--steps", 2, "--use_model", "FIT", "--output_dir", tmp_path / "out", "--device", "cpu")
    report = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    made = tmp_path / "out" / report["outputs"][0]["file"]
    run(capfd, "verify", made)
    shutil.copy(made, tmp_path / f"{NAMES[name]}.png")
    run(capfd, "verify", tmp_path / f"{NAMES[name]}.png")
