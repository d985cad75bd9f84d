import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import MODEL, photo

from diffusionrig.cli import run_command
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.evaluation import report as report_module
from diffusionrig.evaluation.report import Plan, parse_parts, run_evaluation
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint

QUICK = Sampling(respacing="ddim2")


class MeanColour:
    """An embedding of the simplest kind."""

    name, same = "colour", 0.9

    def embed(self, images):
        rows = torch.stack([torch.from_numpy(image.reshape(-1, 3).mean(0)) for image in images])
        return torch.nn.functional.normalize(rows.float(), dim=1)


PLAN = Plan("", count=1, modes="pose,exp+light,shape")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def twice(shared_rig, folder):
    """The reports of one request, made twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_module, "make_identity", lambda name, device: MeanColour())
        return [run_evaluation(shared_rig, dataclasses.replace(PLAN, output_dir=str(folder)), QUICK) for _ in range(2)]


@pytest.fixture(scope="module")
def made(twice):
    return twice[1]


def test_every_number_is_there_and_the_json_says_what_it_means(made, folder):
    assert json.loads((folder / "evaluation.json").read_text()) == made
    assert made["pairs"] == 1
    assert len(made["edits"]) == 3
    assert set(made["summary"]) == {"pose", "exp+light", "shape"}
    mode = made["summary"]["exp+light"]
    assert mode["changes"] == ["exp", "light"]
    for candidate in ("edit", "truth", "source", "buffer"):
        errors = mode["control"]["exp"][candidate]
        # The encoder of these tests finds no face where the first pixel happens to be pure red.
        assert (0 if errors is None else errors["count"]) == mode["found"][candidate]
    assert mode["control"]["exp"]["source"]["count"] == 1
    assert mode["psnr"]["edit"]["median"] > 0
    assert mode["lpips"]["edit"] is None
    assert mode["background"]["truth"]["median"] < 10
    assert -1 <= mode["identity"]["edit"]["median"] <= 1
    assert set(mode) - {"edits", "changes"} <= set(made["definitions"]) | {"found"}
    assert any("LPIPS was not measured" in note for note in made["notes"])
    assert made["speed"]["calls_per_edit"] == 2
    assert made["model"]["consent"] is None  # no personal model


def test_medians_are_those_of_the_edits(made):
    errors = [edit["control"]["source"]["pose"] for edit in made["edits"] if edit["mode"] == "pose"]
    assert made["summary"]["pose"]["control"]["pose"]["source"]["median"] == pytest.approx(np.median(errors), rel=1e-4)


def test_the_page_needs_nothing_but_itself(made, folder):
    page = (folder / "evaluation.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    pictures = re.findall(r"src='data:image/jpeg;base64,([^']+)'", page)
    assert page.count("<img") == len(pictures) >= 5 * 3
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))))
    assert picture.shape == (32, 32, 3)
    assert page.count("<tr>") == page.count("</tr>")
    assert "Worst cases" in page
    sheet = Image.open(folder / "contact_sheet.png")
    assert sheet.text["Comment"] == "AI-edited"


def test_the_same_request_gives_the_same_numbers_and_another_is_refused(twice, shared_rig, folder):
    plan = dataclasses.replace(PLAN, output_dir=str(folder))
    first, again = twice
    assert again["configuration_hash"] == first["configuration_hash"]
    assert again["edits"] == first["edits"]
    with pytest.raises(UsageError, match="already holds another evaluation"):
        run_evaluation(shared_rig, dataclasses.replace(plan, seed=1), QUICK)


@pytest.mark.parametrize("released", [False, True])
def test_without_truth_there_is_no_floor(rig, tmp_path, checkpoint, capsys, released):
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in (1, 2, 3):
        Image.fromarray(photo(seed)).save(photos / f"<b>{seed}.png")
    model, flags = checkpoint, []
    if released:
        model = tmp_path / "model000010.pt"
        export_legacy(model, load_checkpoint(checkpoint)[0])
        flags = [word for name, value in MODEL.to_dict().items() for word in (f"--{name}", str(value))]
    status = run_command("evaluate", [*flags, "--model_path", str(model), "--data", str(photos), "--count", "2", "--modes", "exp",
                                      "--identity", "none", "--timestep_respacing", "ddim2", "--device", "cpu",
                                      "--output_dir", str(tmp_path / "out")])
    assert status == 0
    assert "2 edits of 2 pairs" in capsys.readouterr().out
    made = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert made["summary"]["exp"]["control"]["exp"]["truth"] is None
    assert made["summary"]["exp"]["control"]["exp"]["source"]["count"] == 2
    assert made["summary"]["exp"]["psnr"]["edit"] is None
    assert any("no floor" in note for note in made["notes"])
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "&lt;b&gt;1.png" in page
    assert "<b>1.png" not in page


@pytest.mark.parametrize(("flags", "sentence"), [
    ((), "No --output_dir"),
    (("--output_dir", "{}", "--modes", "latent"), "nothing can be captured of"),
    (("--output_dir", "{}", "--modes", "exp,exp"), "repeated"),
    (("--output_dir", "{}", "--modes", "exp+exp"), "repeated"),
    (("--output_dir", "{}", "--modes", ","), "nothing to evaluate"),
    (("--output_dir", "{}", "--identity", "guess"), "no identity embedding 'guess'"),
    (("--output_dir", "{}", "--lpips", "nowhere", "--identity", "none"), "--lpips needs"),
    (("--output_dir", "{}", "--num_res_blocks", "3"), "--num_res_blocks 3 contradicts the checkpoint"),
    (("--output_dir", "{}", "--count", "0"), None)])
def test_misuse_is_one_sentence(rig, checkpoint, tmp_path, capsys, flags, sentence):
    words = ["--model_path", str(checkpoint), "--device", "cpu", *(flag.format(tmp_path) for flag in flags)]
    if sentence is None:
        with pytest.raises(SystemExit) as stop:
            run_command("evaluate", words)
        assert stop.value.code == 2
        return
    assert run_command("evaluate", words) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not (tmp_path / "evaluation.json").exists()


def test_shape_is_a_part_of_its_own_and_can_be_joined():
    assert [edit.parts for edit in parse_parts("shape, exp+shape")] == [("shape",), ("exp", "shape")]
