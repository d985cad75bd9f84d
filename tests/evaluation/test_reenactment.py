import contextlib
import csv
import io
import json
import re

import numpy as np
import pytest
from evaluation.people import moved, portraits
from PIL import Image

from diffusionrig.cli import run_command
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.rig import Rig, Sampling
from diffusionrig.errors import RigError
from diffusionrig.evaluation.reenactment import contestants as contestants_module
from diffusionrig.evaluation.reenactment import drawing
from diffusionrig.evaluation.reenactment.contestants import Contestant
from diffusionrig.evaluation.reenactment.figures import MEASURES
from diffusionrig.evaluation.reenactment.framing import frame_source
from diffusionrig.evaluation.reenactment.looking import Looker
from diffusionrig.evaluation.reenactment.material import Pair, clip_pairs, folder_pairs, short_names, spread
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.io.movies import write_movie

QUICK = Sampling(respacing="ddim2")
GREY = np.full((400, 480, 3), 127, np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder of frames that begins and goes on without a face, a film, a film without a face, and one that is none."""
    place = tmp_path_factory.mktemp("clips")
    (place / "frames").mkdir()
    first, *others = portraits(3, (1, 2, 4))
    frames = [GREY, *(moved(image, shift=(12 * number, 0)) for number, image in enumerate((first, *others))), GREY]
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(place / "frames" / f"{number}.png")
    write_movie(place / "film.mp4", [moved(image) for image in (first, others[1])], 5)
    write_movie(place / "empty.mp4", [GREY] * 3, 5)
    (place / "broken.mp4").write_bytes(b"no film")
    (place / "columns.csv").write_text("file,kind\nfilm.mp4,old\n")
    (place / "cells.csv").write_text("name,group\nfilm.mp4,\n")
    return place


@pytest.fixture(scope="module")
def fit_rig(checkpoint):
    return Rig.from_pretrained(checkpoint, device="cpu", encoder="FIT", precision="fp32")


def common_flags(checkpoint):
    return ["--model_path", str(checkpoint), "--use_model", "FIT", "--device", "cpu", "--timestep_respacing", "ddim2",
            "--identity", "none"]


@pytest.fixture(scope="module")
def made(clips, checkpoint, tmp_path_factory):
    """What one run over all clips writes, and says: (folder, report, exit status, output, errors)."""
    folder = tmp_path_factory.mktemp("real")
    words = [*common_flags(checkpoint), "--modes", "pose+exp,light", "--frames", "4", "--output_dir", str(folder), "--video",
             *(str(clips / name) for name in ("frames", "broken.mp4", "film.mp4", "empty.mp4"))]
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        status = run_command("evaluate", words)
    return folder, json.loads((folder / "evaluation.json").read_text()), status, out.getvalue(), errors.getvalue()


def test_a_clip_that_cannot_be_used_does_not_end_the_others(made):
    _, report, status, out, errors = made
    assert status == 0
    assert [clip["clip"] for clip in report["data"]["clips"]] == ["frames", "film.mp4"]
    assert "broken.mp4 cannot be decoded" in errors
    assert "empty.mp4 shows no face" in errors
    assert "frames#5: left out: no face was found" in errors
    assert "Traceback" not in errors
    assert len(report["left_out"]) == 3
    assert "8 edits of 4 pairs, 3 left out" in out
    assert re.search(r"light: source +\d", out)


def test_the_first_frame_with_a_face_is_the_source(made):
    _, report, *_ = made
    frames, film = report["data"]["clips"]
    assert (frames["source_frame"], frames["asked"], frames["used"]) == (1, 4, 3)
    assert (film["source_frame"], film["asked"], film["used"]) == (0, 1, 1)
    truths = [edit["truth"] for edit in report["edits"] if edit["mode"] == "light"]
    assert truths == ["frames#2", "frames#3", "frames#4", "film.mp4#1"]
    assert {edit["source"] for edit in report["edits"]} == {"frames#1", "film.mp4#0"}


def test_every_contestant_is_measured_and_medians_are_those_of_the_pictures(made):
    _, report, *_ = made
    assert set(report["summary"]) == {"pose+exp", "light"}
    for mode, entries in report["summary"].items():
        assert list(entries) == [one.name for one in contestants_module.CONTESTANTS]
        for name, entry in entries.items():
            assert entry["pictures"] == 4
            for measure in ("psnr_head", "ssim_head", "psnr", "ssim"):
                values = [edit["figures"][name][measure] for edit in report["edits"] if edit["mode"] == mode]
                assert entry[measure]["median"] == pytest.approx(np.median(values), rel=1e-4)
                assert entry[measure]["missing"] == 0
            assert entry["identity"] is entry["lpips"] is None
        # The true picture at 64 pixels shows the true face; the source shows another.
        assert entries["truth64"]["landmarks"]["median"] < entries["source"]["landmarks"]["median"]
        assert entries["truth64"]["psnr_head"]["median"] > entries["source"]["psnr_head"]["median"] + 3
        assert entries["truth64"]["faces_lost"] == entries["source"]["faces_lost"] == 0
    of_clip = report["by_clip"]["film.mp4"]["light"]["source"]
    assert of_clip["pictures"] == 1
    assert of_clip["psnr"]["median"] == pytest.approx(report["edits"][-1]["figures"]["source"]["psnr"], rel=1e-4)


def test_a_lost_face_is_counted_and_told(made):
    """The network of these tests is untrained: it draws no faces."""
    _, report, *_ = made
    edits = report["summary"]["light"]["edit"]
    found = 0 if edits["landmarks"] is None else edits["landmarks"]["count"]
    assert edits["faces_lost"] >= 4 - found > 0
    assert sum("edit" in edit["lost"] for edit in report["edits"] if edit["mode"] == "light") == edits["faces_lost"]
    assert any(note.startswith("edit: no face was found again on") for note in report["notes"])


def test_the_source_does_not_depend_on_the_mode(made):
    _, report, *_ = made
    assert report["summary"]["light"]["source"] == report["summary"]["pose+exp"]["source"]


def test_table_page_and_sheet_show_all(made):
    folder, report, *_ = made
    lines = list(csv.DictReader((folder / "evaluation.csv").read_text().splitlines()))
    assert len(lines) == 8 * len(contestants_module.CONTESTANTS)
    assert set(MEASURES) < set(lines[0])
    one = next(line for line in lines if line["truth"] == "frames#3" and line["contestant"] == "source" and line["mode"] == "light")
    edit = next(edit for edit in report["edits"] if edit["truth"] == "frames#3" and edit["mode"] == "light")
    assert float(one["psnr_head"]) == pytest.approx(edit["figures"]["source"]["psnr_head"], rel=1e-5)
    assert one["lpips"] == ""
    page = (folder / "evaluation.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    # Source, truth and all contestants but the source, which is the first picture.
    assert page.count("<img") == 8 * (1 + len(contestants_module.CONTESTANTS))
    assert page.count("<tr>") == page.count("</tr>")
    assert "the checkpoint draws 32 pixels" in page
    assert any("draws 32 pixels; its pictures were brought to 256" in note for note in report["notes"])
    sheet = Image.open(folder / "contact_sheet.png")
    assert sheet.text["Comment"] == "AI-edited"


def test_the_same_folder_takes_no_other_request(made, clips, checkpoint, capsys):
    folder, *_ = made
    words = [*common_flags(checkpoint), "--output_dir", str(folder), "--video", str(clips / "film.mp4")]
    assert run_command("evaluate", words) == 2
    assert "already holds another evaluation" in capsys.readouterr().err


def test_pairs_are_found_by_name_and_compared(checkpoint, tmp_path, capsys):
    first, second = tmp_path / "neutral", tmp_path / "<smiling>"
    first.mkdir()
    second.mkdir()
    for index in (3, 4):
        before, after = portraits(index, (2,), ("exp",))
        Image.fromarray(moved(before)).save(first / f"{index}.png")
        Image.fromarray(moved(after, 1.2, size=(600, 500))).save(second / f"{index}.jpg", quality=95)
    Image.fromarray(GREY).save(first / "5.png")
    Image.fromarray(GREY).save(second / "5.png")
    Image.fromarray(GREY).save(second / "alone.png")
    (first / "6.png").write_bytes(b"")
    (second / "6.png").write_bytes(b"")
    (second / "7.dng").write_bytes(b"raw")
    (tmp_path / "groups.csv").write_text("name,group\n3,young\n4.png,young\n4.png,bearded\n9.png,bearded\n9.png,old\n")
    words = [*common_flags(checkpoint), "--modes", "exp", "--pairs", str(first), str(second), "--output_dir", str(tmp_path / "out"),
             "--groups", str(tmp_path / "groups.csv")]
    assert run_command("evaluate", words) == 0
    printed = capsys.readouterr()
    assert "2 edits of 2 pairs, 3 left out" in printed.out
    assert "1 picture or video of another kind was not read: <smiling>/7.dng." in printed.err
    assert "5.png: left out: no face was found" in printed.err
    assert "6.png is empty" in printed.err
    report = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (report["data"]["common"], report["data"]["alone"], report["data"]["used"]) == (4, 1, 2)
    assert report["by_clip"] == {}
    assert [edit["truth"] for edit in report["edits"]] == ["<smiling>/3.jpg", "<smiling>/4.jpg"]
    assert report["summary"]["exp"]["source"]["psnr_head"]["median"] > 18
    assert {group: entry["exp"]["source"]["pictures"] for group, entry in report["by_group"].items()} == {"young": 2, "bearded": 1}
    assert report["by_group"]["bearded"]["exp"]["source"]["psnr"]["median"] == pytest.approx(
        report["edits"][1]["figures"]["source"]["psnr"], rel=1e-4)
    assert any("groups.csv names 1 that no pair has: 9.png." in note for note in report["notes"])
    assert "bearded, exp: source" in printed.out
    page = (tmp_path / "out" / "evaluation.html").read_text()
    assert "Group by group" in page
    assert "&lt;smiling&gt;" in page
    assert "<smiling>" not in page


@pytest.mark.parametrize(("flags", "status", "sentence"), [
    (["--video", "{}/none.mp4"], 2, "no clip at"),
    (["--video", "{}/broken.mp4"], 1, "No clip could be used"),
    (["--video", "{}/empty.mp4"], 1, "shows no face that could be the source"),
    (["--video", "{}/film.mp4", "{}/film.mp4"], 2, "twice"),
    (["--video", "{}/film.mp4", "--pairs", "{}", "{}"], 2, "two evaluations"),
    (["--video", "{}/film.mp4", "--data", "{}"], 2, "--data and --video"),
    (["--video", "{}/film.mp4", "--count", "3"], 2, "--frames"),
    (["--video", "{}/film.mp4", "--modes", "shape"], 2, "choose from pose, exp, light, latent"),
    (["--video", "{}/film.mp4", "--modes", ","], 2, "nothing to evaluate"),
    (["--video", "{}/film.mp4", "--groups", "{}/none.csv"], 2, "no table of groups at"),
    (["--video", "{}/film.mp4", "--groups", "{}/columns.csv"], 1, "must have the columns name,group"),
    (["--video", "{}/film.mp4", "--groups", "{}/cells.csv"], 1, "line 2: a name and a group are needed"),
    (["--groups", "{}/columns.csv"], 2, "--groups belongs to --video or --pairs"),
    (["--pairs", "{}/frames", "{}/nowhere"], 2, "no folder at"),
    (["--pairs", "{}/frames", "{}/film.mp4"], 2, "no folder at")])
def test_misuse_is_one_sentence(clips, checkpoint, tmp_path, capsys, flags, status, sentence):
    words = [*common_flags(checkpoint), "--output_dir", str(tmp_path / "out"), *(flag.format(clips) for flag in flags)]
    assert run_command("evaluate", words) == status
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
    assert not (tmp_path / "out" / "evaluation.json").exists()


def test_folders_without_a_common_name_are_refused(clips, tmp_path):
    Image.fromarray(GREY).save(tmp_path / "other.png")
    with pytest.raises(RigError, match="has the same name as one in"):
        folder_pairs(str(clips / "frames"), str(tmp_path), 0, "head", FaceLandmarker())


def test_a_film_that_breaks_off_counts_up_to_there(clips, monkeypatch):
    whole = ClipFrames.__iter__

    def broken(self):
        for number, frame in enumerate(whole(self)):
            if number == 3:
                raise RigError("the film breaks off")
            yield frame

    monkeypatch.setattr(ClipFrames, "__iter__", broken)
    found = clip_pairs([str(clips / "frames")], 4, "head", FaceLandmarker())
    assert [pair.truth_name for pair in found.pairs] == ["frames#2"]
    assert found.left_out == ["the film breaks off"]
    monkeypatch.setattr(ClipFrames, "unread", lambda self: "One was not read.")
    assert clip_pairs([str(clips / "frames")], 4, "head", FaceLandmarker()).left_out == ["the film breaks off", "One was not read."]


def test_truths_are_spread_evenly():
    assert spread(1, 11, 5) == [2, 4, 6, 8, 10]
    assert spread(3, 5, 8) == [3, 4]
    assert spread(4, 4, 3) == []
    assert short_names(["a/x.mp4", "b/x.mp4", "y.mp4"]) == ["a/x.mp4", "b/x.mp4", "y.mp4"]


def pairs_of(*indices):
    finder, pairs = FaceLandmarker(), []
    for index in indices:
        source, truth = (frame_source(moved(image), finder).image for image in portraits(index, (2,), ("exp",)))
        pairs.append(Pair("", f"{index}", f"{index}'", source, truth))
    return pairs


def test_a_refused_edit_does_not_end_the_others(fit_rig, monkeypatch):
    pairs, edits = pairs_of(3, 4), parse_modes("exp,pose")
    honest = Rig.edit_many

    def strict(self, sources, targets, requests, **rest):
        if any(request.source == 2 and request.edit.name == "pose" for request in requests):
            raise RigError("the head is turned away")
        return honest(self, sources, targets, requests, **rest)

    whole, nothing, _ = drawing.reenact(fit_rig, pairs, edits, QUICK, Looker(fit_rig.encoder(), None), None)
    assert nothing == []
    monkeypatch.setattr(Rig, "edit_many", strict)
    items, left_out, _ = drawing.reenact(fit_rig, pairs, edits, QUICK, Looker(fit_rig.encoder(), None), None)
    assert left_out == ["4': pose was refused: the head is turned away"]
    assert [(item.mode, item.pair.truth_name) for item in items] == [("exp", "3'"), ("pose", "3'"), ("exp", "4'")]
    for item, same in zip(items, whole):
        assert np.abs(item.images["edit"].astype(int) - same.images["edit"]).max() <= 2


def test_a_further_contestant_is_one_entry(fit_rig, monkeypatch):
    """One that returns the truth is perfect in every figure."""
    cheat = Contestant("cheat", "the truth", "the truth itself", lambda case: case.truth, knows_truth=True)
    monkeypatch.setattr(drawing, "CONTESTANTS", (*contestants_module.CONTESTANTS, cheat))
    item = drawing.reenact(fit_rig, pairs_of(3), parse_modes("exp"), QUICK, Looker(fit_rig.encoder(), None), None)[0][0]
    found = item.figures["cheat"]
    assert {name: found[name] for name in ("psnr_head", "psnr", "landmarks", "pose", "expression")} == pytest.approx(
        {"psnr_head": 100, "psnr": 100, "landmarks": 0, "pose": 0, "expression": 0}, abs=0.03)
    assert "cheat" not in item.lost
    assert found["psnr_head"] > item.figures["truth64"]["psnr_head"] > item.figures["source"]["psnr_head"]
