"""``diffusionrig curate`` on an album with something of everything."""

import json

import cv2
import numpy as np
import pytest
import torch

from diffusionrig.capture.curation import album as album_module
from diffusionrig.capture.curation.looking import Limits, Look
from diffusionrig.cli import run_command
from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.faces.placement import read_placement
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.folder_lock import NAME as LOCK
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import read_image, write_png

GOOD = 4


class SkinColour:
    """An embedding by the mean colour of the picture's middle."""

    name, same = "skin", 0.995

    def embed(self, images):
        middles = [image[96:160, 96:160].reshape(-1, 3).mean(0) for image in images]
        return torch.nn.functional.normalize(torch.tensor(np.array(middles), dtype=torch.float32), dim=1)


@pytest.fixture(scope="module")
def photographs():
    """GOOD ones of a person in one light, one of that person from the side, and one of somebody else in blue light."""
    head = load_head()
    person, other = sample_person(7100, 1, head), sample_person(7100, 2, head)
    first = sample_scene(person, 7100, 0, head, yaw_limit=20)
    scenes = [sample_scene(person, 7100, index, head, yaw_limit=20) for index in range(GOOD)]
    scenes = [scene.replace_code(scene.code.swap("light", first.code)) for scene in scenes]
    turned = first.code.replace(pose=torch.tensor([[0.0, 1.0, 0, 0, 0, 0]]))
    blue = sample_scene(other, 7100, 0, head, yaw_limit=20)
    blue = blue.replace_code(blue.code.replace(light=first.code.light * torch.tensor([0.5, 0.8, 1.6])))
    return render_photographs([person] * (GOOD + 1) + [other], [*scenes, first.replace_code(turned), blue], head, 200)


@pytest.fixture
def folder(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(album_module, "make_identity", lambda name, device: SkinColour())
    place = tmp_path / "album"
    place.mkdir()
    for i in range(GOOD):
        write_png(place / f"{i}.png", photographs[i])
    write_png(place / "again.png", cv2.resize(photographs[0], (150, 150), interpolation=cv2.INTER_AREA))
    write_png(place / "blur.png", cv2.GaussianBlur(photographs[1], (0, 0), 3))
    write_png(place / "side.png", photographs[GOOD])
    (place / "sub").mkdir()
    write_png(place / "sub" / "other.png", photographs[GOOD + 1])
    write_png(place / "wall.png", np.full((80, 80, 3), 120, np.uint8))
    (place / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    return place


class Brightness:
    """Looks at photographs that are as sharp as they are bright."""

    def __init__(self, encoder, identity, limits, most):
        self.limits = limits

    def look(self, path, name):
        image = read_image(path)
        sharp = float(image.mean()) / 255
        return Look(name, [] if sharp >= self.limits.min_sharpness else [("blurred", f"{sharp:.1f}")], thumbnail=image)


@pytest.fixture
def bright(monkeypatch):
    monkeypatch.setattr(album_module, "Looker", Brightness)
    monkeypatch.setattr(album_module, "FitEncoder", lambda head, device: None)
    monkeypatch.setattr(album_module, "make_identity", lambda name, device: SkinColour())
    monkeypatch.setattr(album_module, "judge_album", lambda looks, limits, same, head: [])


EXPECTED = {**{f"{i}.png": "kept" for i in range(GOOD)}, "again.png": "duplicate", "blur.png": "blurred",
            "side.png": "extreme pose", "sub/other.png": "other person", "wall.png": "no face", "cut.jpg": "unreadable"}


def test_every_photograph_gets_its_reason_and_the_album_stays_as_it_is(folder, tmp_path, capsys):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    out = tmp_path / "out"
    assert run_command("curate", [str(folder), "-o", str(out), "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert {entry["file"]: entry["verdict"] for entry in report["photographs"]} == EXPECTED
    assert report["counts"]["kept"] == GOOD
    kept = sorted(path.relative_to(out / "kept").as_posix() for path in (out / "kept").rglob("*") if path.is_file())
    assert kept == [f"{i}.png" for i in range(GOOD)]
    assert (out / "kept" / "0.png").read_bytes() == before[folder / "0.png"]
    assert (out / "contact_sheet.png").is_file()
    assert "shows the same as 0.png" in text
    assert "turned 5" in text
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before

    # Again, with fewer that stay: copies that no longer belong there go, others come back as they were.
    assert run_command("curate", [str(folder), "-o", str(out), "--keep", "2", "--link", "--apply", "--device", "cpu"]) == 0
    links = sorted((out / "kept").iterdir())
    assert len(links) == 2
    assert all(path.is_symlink() and path.read_bytes() == before[folder / path.name] for path in links)
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [f"{i}.png" for i in range(GOOD)]
    assert (out / "rejected" / "sub" / "other.png").read_bytes() == before[folder / "sub" / "other.png"]


def test_faces_of_what_stays_are_those_that_were_judged(folder, tmp_path, photographs):
    for name in ("again.png", "blur.png", "side.png", "wall.png", "cut.jpg"):
        (folder / name).unlink()
    # Beside the person in the middle stands somebody larger, whom align --faces 1 would take.
    wide = np.full((320, 760, 3), 120, np.uint8)
    wide[60:260, 280:480] = photographs[0]
    wide[:, 500:760] = cv2.resize(photographs[GOOD + 1], (320, 320))[:, 30:290]
    write_png(folder / "0.png", wide)
    out = tmp_path / "out"
    words = [str(folder), "-o", str(out), "--faces", "96", "--device", "cpu"]
    assert run_command("curate", words) == 0
    report = json.loads((out / "report.json").read_text())
    faces = {entry["file"]: entry["face"] for entry in report["photographs"] if "face" in entry}
    assert faces == {f"{i}.png": f"faces/{i}.png" for i in range(GOOD)}
    face = read_image(out / "faces" / "0.png")
    assert face.shape == (96, 96, 3)
    middle = face[36:60, 36:60].reshape(-1, 3).mean(0)
    assert middle[0] > middle[2]  # not the one in blue light
    assert read_placement(out / "faces" / "0.png").photo == "0.png"
    (folder / "3.png").unlink()
    assert run_command("curate", words) == 0
    assert sorted(file.name for file in (out / "faces").iterdir()) == ["0.png", "1.png", "2.png"]
    assert run_command("curate", [str(folder), "--faces", "96"]) == 2


def test_every_flag_reaches_the_album(tmp_path, monkeypatch, capsys):
    asked = []

    def remembered(*words):
        asked.append(words)
        return [Look("a.png")], ["Told."]

    monkeypatch.setattr(album_module, "curate_album", remembered)
    assert run_command("curate", ["album", "-o", "out", "--apply", "--link", "--keep", "7", "--min_face", "90", "--min_sharpness",
                                  "0.3", "--max_yaw", "50", "--max_pitch", "20", "--min_confidence", "0.2", "--duplicate", "0.05",
                                  "--identity", "dlib", "--same", "0.9", "--max_megapixels", "12", "--device", "cpu", "--faces",
                                  "64"]) == 0
    assert asked == [(album_module.Curation(folder="album", output="out", apply=True, link=True, identity="dlib", max_megapixels=12,
                                            device="cpu", faces=64),
                      Limits(min_face=90, min_sharpness=0.3, max_yaw=50, max_pitch=20, min_confidence=0.2, duplicate=0.05,
                             same=0.9, keep=7))]
    assert capsys.readouterr().out.splitlines()[-2:] == ["Told.", "1 photographs: 1 kept; copies of what stays are in out/kept"]


def test_looking_alone_writes_nothing(folder, tmp_path, capsys, monkeypatch):
    for name in ("1.png", "2.png", "3.png", "again.png", "blur.png", "side.png", "sub/other.png"):
        (folder / name).unlink()
    assert run_command("curate", [str(folder), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "cannot be told who is somebody else" in out
    assert "3 photographs: 1 kept, 1 no face, 1 unreadable" in out
    assert [path.name for path in tmp_path.iterdir()] == ["album"]
    assert "not read" not in out
    (folder / "raw.dng").write_bytes(b"raw")
    judged, judge = [], album_module.judge_album
    monkeypatch.setattr(album_module, "judge_album", lambda looks, limits, same, head: judged.append(same) or judge(
        looks, limits, same, head))
    assert run_command("curate", [str(folder), "-o", str(tmp_path / "out"), "--same", "0.9", "--device", "cpu"]) == 0
    assert judged == [0.9]
    assert json.loads((tmp_path / "out" / "report.json").read_text())["limits"]["same"] == 0.9
    assert "1 picture or video of another kind was not read: raw.dng." in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "report.json").read_text())["unread"] == ["raw.dng"]
    (folder / "0.png").unlink()
    assert run_command("curate", [str(folder), "--device", "cpu"]) == 1
    assert "None of the 2 photographs" in capsys.readouterr().err


def test_a_run_that_is_killed_is_continued(tmp_path, bright, monkeypatch, capsys):
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(GOOD):
        write_png(folder / f"{number}.png", np.full((96, 96, 3), 200 + number, np.uint8))
    out, place = tmp_path / "out", album_module.copy_file

    def killed(source, target, link=False):
        place(source, target, link)
        if source.name == "1.png":
            raise KeyboardInterrupt

    words = [str(folder), "-o", str(out), "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr(album_module, "copy_file", killed)
        assert run_command("curate", words) == 130
    assert sorted(file.name for file in (out / "kept").iterdir()) == ["0.png", "1.png"]
    (folder / "0.png").unlink()  # its copy does not belong there any more
    assert run_command("curate", words) == 0
    assert sorted(file.name for file in (out / "kept").iterdir()) == ["1.png", "2.png", "3.png"]
    report = json.loads((out / "report.json").read_text())
    assert "unfinished" not in report
    assert [entry["file"] for entry in report["photographs"]] == ["1.png", "2.png", "3.png"]
    with folder_lock(out, "curate"):
        assert run_command("curate", words) == 1
    assert "out is in use by process" in capsys.readouterr().err
    # Killed after the first of two that do not stay was moved: both are reported, shown and moved in the end.
    for name, level in (("wall.png", 50), ("floor.png", 40)):
        write_png(folder / name, np.full((80, 80, 3), level, np.uint8))
    move, applied = album_module.move_file, [str(folder), "-o", str(tmp_path / "applied"), "--apply", "--device", "cpu"]

    def moved_once(source, target):
        move(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(album_module, "move_file", moved_once)
        assert run_command("curate", applied) == 130
    assert [file.name for file in (tmp_path / "applied" / "rejected").iterdir()] == ["floor.png"]
    assert run_command("curate", applied) == 0
    report = json.loads((tmp_path / "applied" / "report.json").read_text())
    assert [entry.get("moved_to") for entry in report["photographs"]] == [None] * 3 + ["rejected/floor.png", "rejected/wall.png"]
    assert sorted(file.name for file in (tmp_path / "applied" / "rejected").iterdir()) == ["floor.png", "wall.png"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / LOCK).write_text("{}")  # all that a kill in the middle of looking leaves
    assert run_command("curate", [str(folder), "-o", str(tmp_path / "new"), "--device", "cpu"]) == 0


def test_what_was_moved_away_is_told_of_again_and_may_come_back(tmp_path, bright):
    album, out = tmp_path / "album", tmp_path / "out"
    album.mkdir()
    for name, level in (("a.png", 50), ("b.png", 100), ("c.png", 200)):
        write_png(album / name, np.full((96, 96, 3), level, np.uint8))

    def told(least):
        """What a run that leaves some photographs says of them; what it shows; what lies where."""
        assert run_command("curate", [str(album), "-o", str(out), "--apply", "--min_sharpness", least, "--device", "cpu"]) == (
            0 if float(least) < 0.9 else 1)
        report = json.loads((out / "report.json").read_text())
        return ([(entry["file"], entry["verdict"], entry.get("moved_to")) for entry in report["photographs"]],
                (out / "contact_sheet.png").read_bytes(), *(sorted(file.name for file in place.glob("*.png"))
                                                            for place in (album, out / "kept", out / "rejected")))

    first = told("0.5")
    assert first[0] == [("a.png", "blurred", "rejected/a.png"), ("b.png", "blurred", "rejected/b.png"), ("c.png", "kept", None)]
    assert first[2:] == (["c.png"], ["c.png"], ["a.png", "b.png"])
    assert told("0.5") == first
    for _ in range(2):
        assert told("0.3")[0] == [("a.png", "blurred", "rejected/a.png"), ("b.png", "kept", "rejected/b.png"),
                                  ("c.png", "kept", None)]
        assert (sorted(file.name for file in (out / "kept").iterdir())) == ["b.png", "c.png"]
    assert told("0.9")[2:] == ([], [], ["a.png", "b.png", "c.png"])
    assert told("0.5")[0] == [*first[0][:2], ("c.png", "kept", "rejected/c.png")]  # of an album that is empty by now


@pytest.mark.parametrize(("flags", "sentence"), [
    (("{}/nowhere",), "no folder"), (("{}/empty",), "no photographs in"), (("{}/album", "--apply"), "name one with -o"),
    (("{}/album", "-o", "{}/album"), "both album and output"), (("{}/album", "-o", "{}/mine"), "does not come from curating"),
    (("{}/album", "--identity", "guess"), "no identity embedding")])
def test_misuse_is_one_sentence(tmp_path, capsys, flags, sentence):
    for name in ("album", "mine", "empty"):
        (tmp_path / name).mkdir()
    for name in ("album/1.png", "mine/letter.txt"):
        (tmp_path / name).write_text("text")
    assert run_command("curate", [flag.format(tmp_path) for flag in flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error
