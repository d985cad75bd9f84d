import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from seed_faces import photo

from diffusionrig.editing.controls import Edit, parse_modes
from diffusionrig.editing.order import Order
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.session import run_session
from diffusionrig.errors import RigError, UsageError


@pytest.fixture
def order(tmp_path):
    for folder, seeds in (("sources", (1, 2)), ("targets", (3, 4))):
        (tmp_path / folder).mkdir()
        for seed in seeds:
            Image.fromarray(photo(seed)).save(tmp_path / folder / f"{seed}.png")
    return Order(source=str(tmp_path / "sources"), target=str(tmp_path / "targets"), edits=parse_modes("pose,exp"),
                 output_dir=str(tmp_path / "out"), sampling=Sampling(respacing="ddim2"))


def test_outputs_are_named_and_counted_as_published(rig, order, tmp_path):
    report = run_session(rig, dataclasses.replace(order, save_buffers=True))
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    pairs = ["0_pose", "1_exp", "2_pose", "3_exp", "4_pose", "5_exp", "6_pose", "7_exp", "reconstruction_0", "reconstruction_1"]
    assert names == {f"{name}.png" for name in pairs} | {"contact_sheet.png", "report.json", "buffers"}
    assert json.loads((out / "report.json").read_text()) == report
    fifth = next(entry for entry in report["outputs"] if entry["file"] == "5_exp.png")
    assert fifth["source"].endswith("2.png")
    assert fifth["target"].endswith("3.png")
    assert (out / fifth["buffers"]["rendered"]).exists()
    record = read_provenance(out / "5_exp.png")
    assert record["intact"]
    assert record["model"] == rig.pretrained.hash


def test_the_same_request_may_be_repeated_and_another_is_refused(rig, order, tmp_path):
    run_session(rig, order)
    first = (tmp_path / "out" / "0_pose.png").read_bytes()
    run_session(rig, order)
    assert (tmp_path / "out" / "0_pose.png").read_bytes() == first
    other = dataclasses.replace(order, edits=parse_modes("light"))
    with pytest.raises(UsageError, match="already holds results of another edit"):
        run_session(rig, other)
    assert (tmp_path / "out" / "0_pose.png").read_bytes() == first
    run_session(rig, dataclasses.replace(other, overwrite=True))
    assert (tmp_path / "out" / "0_light.png").exists()


def test_bad_pictures_are_reported_and_the_others_edited(rig, order, tmp_path):
    (tmp_path / "sources" / "0_broken.png").write_bytes(b"")
    Image.fromarray(photo(255)).save(tmp_path / "sources" / "faceless.png")
    report = run_session(rig, order)
    assert len(report["outputs"]) == 10
    problems = {problem["file"].split("/")[-1]: problem["problem"] for problem in report["problems"]}
    assert set(problems) == {"0_broken.png", "faceless.png"}
    assert "empty" in problems["0_broken.png"]


def test_nothing_usable_is_an_error_that_says_why(rig, order, tmp_path):
    for path in (tmp_path / "targets").iterdir():
        path.write_text("text")
    with pytest.raises(RigError, match=r"None of the target pictures can be used\..*3\.png"):
        run_session(rig, order)
    with pytest.raises(UsageError, match="does not exist"):
        run_session(rig, dataclasses.replace(order, source=str(tmp_path / "nowhere")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no images"):
        run_session(rig, dataclasses.replace(order, source=str(tmp_path / "empty")))


def test_one_picture_and_sliders_need_no_target(rig, order, tmp_path):
    sliders = dataclasses.replace(order, source=str(tmp_path / "sources" / "1.png"), target="",
                                  edits=[Edit("set", (), 1.0, (("yaw", 15.0),))])
    report = run_session(rig, sliders)
    assert [entry["file"] for entry in report["outputs"]] == ["reconstruction_0.png", "0_set.png"]
    plain, turned = (np.asarray(Image.open(tmp_path / "out" / name)) for name in ("reconstruction_0.png", "0_set.png"))
    assert (plain != turned).any()
