"""Whole photographs in, whole photographs out: the reference condition, several faces, edits of nothing, and what is refused."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import face_code, photo

from diffusionrig.cli import main
from diffusionrig.editing.controls import UNCHANGED, Edit, parse_modes, parse_sliders
from diffusionrig.editing.order import Order
from diffusionrig.editing.photographs import cut_face, find_faces, is_aligned
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.session import run_session
from diffusionrig.editing.sides import without_profiles
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.rotations import euler_degrees_to_axis_angle
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image, write_png


@pytest.fixture(scope="module")
def portrait():
    return read_image(asset_path("portrait.jpg"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, portrait):
    """me.jpg (lying on its side, as EXIF says), two.png with two faces of two sizes, aligned.png, nobody.png, cut.png."""
    root = tmp_path_factory.mktemp("pictures")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(portrait[:400]))).save(root / "me.jpg", quality=95, exif=exif)
    small = cv2.resize(portrait[:300, 60:400], None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    two = np.full((300, 340 + small.shape[1], 3), 200, np.uint8)
    two[:, :340] = portrait[:300, 60:400]
    two[:small.shape[0], 340:] = small
    write_png(root / "two.png", two)
    write_png(root / "aligned.png", cut_face(portrait, root, FaceLandmarker(), 200)[0])
    write_png(root / "nobody.png", np.full((200, 300, 3), 120, np.uint8))
    write_png(root / "cut.png", np.ascontiguousarray(portrait[:, 200:]))
    return root


@pytest.fixture
def order(pictures, tmp_path):
    return Order(source=str(pictures / "me.jpg"), target="", edits=[Edit(UNCHANGED)], output_dir=str(tmp_path / "out"),
                 sampling=Sampling(), align_source=None)


def sliders(text: str) -> list[Edit]:
    return [Edit("set", (), 1.0, *parse_sliders(text))]


@pytest.mark.parametrize("edits", [[Edit(UNCHANGED)], parse_modes("exp,pose+light", strength=0), sliders("jawOpen=+0,yaw=+0")])
def test_an_edit_of_nothing_gives_back_every_bit(reference_rig, order, pictures, edits, tmp_path):
    target = str(pictures / "two.png") if edits[0].needs_target else ""
    report = run_session(reference_rig, dataclasses.replace(order, edits=edits, target=target))
    assert [entry["file"] for entry in report["outputs"]] == [f"{i}_{edit.name}.png" for i, edit in enumerate(edits)]
    for entry in report["outputs"]:
        assert np.array_equal(read_image(tmp_path / "out" / entry["file"]), read_image(pictures / "me.jpg"))
        assert read_provenance(tmp_path / "out" / entry["file"])["photo"] == "me.jpg"


def test_nothing_changes_in_an_aligned_picture_either(reference_rig, order, pictures, tmp_path):
    run_session(reference_rig, dataclasses.replace(order, source=str(pictures / "aligned.png"), output="both"))
    aligned, whole = (read_image(tmp_path / "out" / name) for name in ("0_unchanged.png", "pasted/0_unchanged.png"))
    shown = np.asarray(Image.fromarray(read_image(pictures / "aligned.png")).resize((64, 64), Image.Resampling.LANCZOS))
    assert 10 * np.log10(255**2 / np.square(aligned.astype(float) - shown).mean().clip(1e-9)) >= 50
    assert np.array_equal(whole, read_image(pictures / "aligned.png"))


def test_without_a_shortcut_a_code_that_stays_changes_nothing(reference_rig, portrait):
    from diffusionrig.editing.photographs import in_photograph

    image, cut = cut_face(portrait, Path("me.jpg"), FaceLandmarker(), 256)
    face = reference_rig.capture(image)
    shown = float(face.code.expression[0, reference_rig.head.expression_names.index("jawOpen")])
    for text in ("jawOpen=+0", f"jawOpen={shown:.9f}"):
        result = reference_rig.edit(face, sliders=text)
        assert np.array_equal(in_photograph(cut, portrait, result.image, result.image, result.carried), portrait)


def test_an_edit_changes_the_head_and_nothing_far_from_it(reference_rig, order, pictures, tmp_path):
    before = read_image(pictures / "me.jpg")
    run_session(reference_rig, dataclasses.replace(order, edits=sliders("jawOpen=+0.4"), output="both"))
    after = read_image(tmp_path / "out" / "pasted" / "0_set.png")
    assert read_image(tmp_path / "out" / "0_set.png").shape == (64, 64, 3)
    assert after.shape == before.shape
    (face,) = find_faces(before, FaceLandmarker())
    changed = (after != before).any(2)
    left, top, right, bottom = face.box.astype(int)
    assert changed[(top + bottom) // 2:bottom, left:right].mean() > 0.5
    rows, columns = np.nonzero(changed)
    assert top < rows.min() < rows.max() < bottom + 0.75 * face.size  # hair and brows rest to the bit
    assert left - 0.6 * face.size < columns.min() < columns.max() < right + 0.6 * face.size


def test_the_chosen_face_changes_and_the_others_do_not(reference_rig, order, pictures, tmp_path):
    before = read_image(pictures / "two.png")
    large, little = find_faces(before, FaceLandmarker())
    assert large.size > little.size
    for number, (mine, other) in ((1, (large, little)), (2, (little, large))):
        folder = tmp_path / str(number)
        run_session(reference_rig, dataclasses.replace(order, source=str(pictures / "two.png"), edits=sliders("yaw=+15"),
                                                       face=number, output_dir=str(folder)))
        after = read_image(folder / "0_set.png")
        parts = [(slice(int(face.box[1]), int(face.box[3]) + 1), slice(int(face.box[0]), int(face.box[2]) + 1))
                 for face in (mine, other)]
        assert (after[parts[0]] != before[parts[0]]).mean() > 0.5
        assert np.array_equal(after[parts[1]], before[parts[1]])
    with pytest.raises(RigError, match=r"two\.png: --face 3 was asked for, but 2 faces can be seen; they are counted by size"):
        run_session(reference_rig, dataclasses.replace(order, source=str(pictures / "two.png"), face=3,
                                                       output_dir=str(tmp_path / "x")))


def test_each_picture_is_looked_at_and_its_kind_of_output_follows(reference_rig, order, pictures, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("aligned.png", "two.png"):
        (tmp_path / "in" / name).write_bytes((pictures / name).read_bytes())
    asked = dataclasses.replace(order, source=str(tmp_path / "in"), target=str(pictures / "me.jpg"), edits=parse_modes("exp"))
    report = run_session(reference_rig, asked)
    assert [entry["file"] for entry in report["outputs"]] == ["reconstruction_0.png", "0_exp.png", "1_exp.png"]
    out = tmp_path / "out"
    assert read_image(out / "0_exp.png").shape == (64, 64, 3)
    assert read_image(out / "1_exp.png").shape == read_image(pictures / "two.png").shape
    for output, shapes in (("aligned", [(64, 64, 3)] * 2), ("photo", [(200, 200, 3), (300, 595, 3)])):
        run_session(reference_rig, dataclasses.replace(asked, output=output, output_dir=str(tmp_path / output)))
        assert [read_image(tmp_path / output / f"{i}_exp.png").shape for i in range(2)] == shapes
    assert "output" not in dataclasses.replace(order, align_source=False).request("x")
    for change, words in (({"output": "photo", "paste_back": str(pictures)}, "which --output photo contradicts"),
                          ({"face": 0}, "counted by size from 1"),
                          ({"face": 2, "align_source": False}, "said to be aligned already")):
        with pytest.raises(UsageError, match=words):
            run_session(reference_rig, dataclasses.replace(order, **change))


def test_the_sheet_shows_what_was_carried_and_how_sure_it_is(reference_rig, order, tmp_path, monkeypatch):
    from diffusionrig.editing import outputs

    rows = []
    monkeypatch.setattr(outputs.ContactSheets, "add", lambda self, row, title: rows.append((self.columns, row)))
    monkeypatch.setattr(outputs.ContactSheets, "finish", lambda self: [])
    run_session(reference_rig, dataclasses.replace(order, edits=sliders("jawOpen=+0.6,yaw=+15"), save_buffers=True))
    ((columns, row),) = rows
    assert columns == ("source", "target", "carried", "confidence", "rendered", "result")
    sheet = dict(zip(columns, row))
    assert sheet["confidence"].max() == 255
    assert sheet["confidence"].min() < 30
    assert np.ptp(sheet["confidence"], axis=2).max() == 0
    assert (sheet["carried"] != sheet["source"]).any()
    assert (tmp_path / "out" / "buffers" / "0_set_confidence.png").exists()


def test_aligned_pictures_are_told_from_photographs(portrait, pictures):
    finder = FaceLandmarker()
    for picture, aligned in ((portrait, False), (read_image(pictures / "aligned.png"), True),
                             (read_image(pictures / "two.png"), False)):
        assert is_aligned(find_faces(picture, finder)[0], picture.shape) is aligned


def test_faces_of_huge_photographs_are_where_they_are(portrait):
    finder = FaceLandmarker()
    large = cv2.resize(portrait, (3000, 3000), interpolation=cv2.INTER_CUBIC)
    (one,), (other,) = find_faces(portrait, finder), find_faces(large, finder)
    assert np.abs((other.points68 + 0.5) * 512 / 3000 - 0.5 - one.points68).max() < 1.5
    assert np.abs((other.box + 0.5) * 512 / 3000 - 0.5 - one.box).max() < 1.5


def test_profiles_are_refused_with_what_to_do(rig):
    faces = rig.capture([photo(1), photo(2)])
    pose = torch.cat([euler_degrees_to_axis_angle(0, 75, 0)[None].float(), torch.zeros(1, 3)], 1)
    code = faces.code.replace(pose=torch.cat([face_code(1).pose, pose]))
    seen = without_profiles(dataclasses.replace(faces, code=code))
    assert seen.found.tolist() == [True, False]
    assert seen.notes == ["", "The face is turned 75 degrees to the side, of which 70 can be edited; give a photograph that shows "
                              "more of it."]


@pytest.mark.parametrize(("name", "words"), [
    ("nobody.png", "no face was found; give a photograph that shows the face from the front"),
    ("cut.png", "the face is cut off by the frame; give a photograph that shows all of it")])
def test_what_cannot_be_edited_is_said_in_one_sentence(name, words, reference_checkpoint, pictures, tmp_path, capsys):
    status = main(["edit", str(pictures / name), "--model_path", str(reference_checkpoint), "--set", "jawOpen=+0.2",
                   "--use_model", "FIT", "--output_dir", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert status == 1
    assert f"{name}: {words}" in error.splitlines()[-1]
    assert "Traceback" not in error


def test_the_command_takes_a_picture_and_finds_a_folder(reference_checkpoint, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["edit", str(pictures / "me.jpg"), "--model_path", str(reference_checkpoint), "--use_model", "FIT"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "nothing was asked, so nothing was changed" in told.err
    assert "log/edit/contact_sheet.png" in told.out
    assert np.array_equal(read_image("log/edit/0_unchanged.png"), read_image(pictures / "me.jpg"))
    for _ in range(2):  # the second time the same folder is taken for the same request
        assert main([*words, "--set", "jawOpen=+0.2,yaw=-5"]) == 0
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == ["edit", "edit-2"]
    (edit,) = json.loads(Path("log/edit-2/report.json").read_text())["request"]["edits"]
    assert (edit["sliders"], edit["moves"]) == ([["yaw", -5.0]], [["jawOpen", 0.2]])
    assert read_provenance(Path("log/edit-2/0_set.png"))["moves"] == {"jawOpen": 0.2}
    assert main([*words, "--source", "other.jpg"]) == 2
    assert "Two sources were given" in capsys.readouterr().err
    assert main(["edit", "--model_path", str(reference_checkpoint)]) == 2
    assert "Nothing to edit" in capsys.readouterr().err


def test_doubtful_captures_are_said_picture_by_picture(reference_rig, order, pictures, monkeypatch, tmp_path):
    capture = reference_rig.capture
    monkeypatch.setattr(reference_rig, "capture", lambda photos, encoder=None: dataclasses.replace(
        capture(photos, encoder), notes=["The fit is doubtful (confidence 0.31)."]))
    report = run_session(reference_rig, dataclasses.replace(order, edits=sliders("yaw=+5")))
    assert report["doubts"] == [{"file": str(pictures / "me.jpg"), "doubt": "The fit is doubtful (confidence 0.31)."}]
    assert report["problems"] == []
