import dataclasses
import json
import tracemalloc
import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import photo

from diffusionrig.editing import session
from diffusionrig.editing.contact_sheets import ROWS_PER_SHEET
from diffusionrig.editing.controls import Edit, parse_modes
from diffusionrig.editing.order import Order, free_folder
from diffusionrig.editing.outputs import BLANK
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.request import Result
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.session import run_session
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.folder_lock import NAME as LOCK
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.resize import resize_square
from diffusionrig.render.buffers import PhysicalBuffers


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


def test_a_killed_run_may_be_started_again(rig, order, tmp_path, monkeypatch):
    add, written = session.Outputs.add, []

    def killed(self, *words):
        add(self, *words)
        written.append(words)
        if len(written) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.Outputs, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            run_session(rig, order)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["unfinished"]
    with pytest.raises(UsageError, match="already holds results of another edit"):
        run_session(rig, dataclasses.replace(order, edits=parse_modes("light")))
    report = run_session(rig, order)
    assert "unfinished" not in report
    assert len(report["outputs"]) == 10


def test_bad_pictures_are_reported_and_the_others_edited(rig, order, tmp_path):
    (tmp_path / "sources" / "0_broken.png").write_bytes(b"")
    Image.fromarray(photo(255)).save(tmp_path / "sources" / "faceless.png")
    report = run_session(rig, order)
    assert len(report["outputs"]) == 10
    problems = {problem["file"].split("/")[-1]: problem["problem"] for problem in report["problems"]}
    assert set(problems) == {"0_broken.png", "faceless.png"}
    assert "empty" in problems["0_broken.png"]


def test_pictures_of_other_kinds_are_reported(rig, order, tmp_path):
    (tmp_path / "sources" / "raw.nef").write_bytes(b"raw")
    (tmp_path / "targets" / "photo").write_bytes((tmp_path / "targets" / "3.png").read_bytes())
    report = run_session(rig, dataclasses.replace(order, edits=parse_modes("exp"), limit=1))
    assert [(problem["file"].split("/")[-1], "kind that is not read" in problem["problem"]) for problem in report["problems"]] == [
        ("raw.nef", True), ("photo", True)]


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


def test_each_source_is_followed_by_its_edits_and_the_limit_counts_edits(rig, order, tmp_path):
    report = run_session(rig, dataclasses.replace(order, limit=6))
    assert [entry["file"] for entry in report["outputs"]] == [
        "reconstruction_0.png", "0_pose.png", "1_exp.png", "2_pose.png", "3_exp.png", "reconstruction_1.png", "4_pose.png",
        "5_exp.png"]
    report = run_session(rig, dataclasses.replace(order, limit=1, output_dir=str(tmp_path / "one")))
    assert [entry["file"] for entry in report["outputs"]] == ["reconstruction_0.png", "0_pose.png"]


def test_sources_in_several_goes_are_counted_on(rig, order, tmp_path, monkeypatch):
    (tmp_path / "sources" / "0_broken.png").write_bytes(b"")
    Image.fromarray(photo(255)).save(tmp_path / "sources" / "1_faceless.png")
    together = run_session(rig, order)
    monkeypatch.setattr(session, "SOURCES_AT_ONCE", 1)
    apart = run_session(rig, dataclasses.replace(order, output_dir=str(tmp_path / "apart")))
    for name in ("outputs", "sheets", "problems"):
        assert apart[name] == together[name]
    assert [problem["file"].split("/")[-1] for problem in apart["problems"]] == ["0_broken.png", "1_faceless.png"]
    for entry in together["outputs"]:
        one, other = (np.asarray(Image.open(place / entry["file"])).astype(int) for place in (tmp_path / "out", tmp_path / "apart"))
        assert np.abs(one - other).max() <= 1
    for name in ("1.png", "2.png"):
        (tmp_path / "sources" / name).unlink()
    with pytest.raises(RigError, match=r"None of the source pictures can be used\. .*0_broken\.png"):
        run_session(rig, dataclasses.replace(order, output_dir=str(tmp_path / "none")))


def peak_of(rig, order, outputs, monkeypatch):
    """Most bytes of Python's and NumPy's that a run of so many outputs of 256 pixels holds, and most pictures of its results."""
    side, drawn, most = 256, [], 0

    def edit_many(sources, targets, requests, **settings):
        nonlocal most
        for number, request in enumerate(requests):
            image = np.full((side, side, 3), number % 251, np.uint8)
            drawn.append(weakref.ref(image))
            buffers = PhysicalBuffers(*(torch.zeros(1, channels, side, side) for channels in (3, 3, 3, 1)))
            yield Result(image, buffers, sources.code[request.source], request)
            del image
            most = max(most, sum(one() is not None for one in drawn))

    monkeypatch.setattr(rig, "edit_many", edit_many)
    tracemalloc.start()
    try:
        report = run_session(rig, dataclasses.replace(order, limit=outputs, output_dir=f"{order.output_dir}/{outputs}"))
        return report, most, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_outputs_take_no_more_memory_than_few(rig, order, tmp_path, monkeypatch):
    for seed in range(5, 25):
        Image.fromarray(photo(seed)).save(tmp_path / "targets" / f"{seed}.png")
    few, many = (peak_of(rig, order, outputs, monkeypatch) for outputs in (20, 80))
    assert [len(report["outputs"]) for report, _, _ in (few, many)] == [21, 82]
    assert many[0]["sheets"] == ["contact_sheet.png", *(f"contact_sheet_{number}.png" for number in range(1, 6))]
    assert few[1] <= many[1] <= ROWS_PER_SHEET + 2
    row = 6 * 256 * 256 * 3
    assert many[2] < few[2] + row  # 61 more rows
    last = np.asarray(Image.open(tmp_path / "out" / "80" / "contact_sheet_5.png"))
    assert last.shape[0] < np.asarray(Image.open(tmp_path / "out" / "80" / "contact_sheet.png")).shape[0]


def test_targets_on_the_sheet_are_those_of_their_rows(rig, order, tmp_path):
    run_session(rig, dataclasses.replace(order, limit=4))
    sheet = np.asarray(Image.open(tmp_path / "out" / "contact_sheet.png")).astype(int)
    cell = 96
    left = sheet.shape[1] - 6 * (cell + 4) - 4
    head = sheet.shape[0] - 5 * (cell + 4) - 4

    def picture(row, column):
        top, start = head + 4 + row * (cell + 4), left + 4 + column * (cell + 4)
        return sheet[top:top + cell, start:start + cell]

    shown = {seed: np.asarray(Image.fromarray(resize_square(photo(seed), rig.size)).resize((cell, cell), 0)).astype(int)
             for seed in (1, 3, 4)}
    assert np.array_equal(picture(0, 0), shown[1])
    assert (picture(0, 1) == BLANK).all()
    for row, seed in ((1, 3), (2, 3), (3, 4), (4, 4)):
        assert np.array_equal(picture(row, 1), shown[seed])


@pytest.mark.parametrize("name", ["report.json", "contact_sheet.png"])
def test_files_of_somebody_else_are_kept_and_the_usual_folder_goes_round_them(rig, order, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=f"{name} was not written by this command"):
            run_session(rig, dataclasses.replace(order, overwrite=overwrite))
    assert [file.read_text() for file in (tmp_path / "out").iterdir()] == ["{}"]
    assert free_folder(tmp_path / "out", {}) == tmp_path / "out-2"


def test_two_edits_in_one_folder(rig, order, tmp_path):
    with folder_lock(tmp_path / "out", "edit"):
        assert free_folder(tmp_path / "out", {}) == tmp_path / "out-2"
        with pytest.raises(RigError, match=r"out is in use by process \d+ on"):
            run_session(rig, order)
        assert [file.name for file in (tmp_path / "out").iterdir()] == [LOCK]
    assert run_session(rig, order)["outputs"]
    assert not (tmp_path / "out" / LOCK).exists()
