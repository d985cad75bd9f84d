"""``diffusionrig align`` on folders as people have them: every file ends as a face or as a sentence."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from diffusionrig.cli import run_command
from diffusionrig.errors import RigError
from diffusionrig.faces.output_names import OutputNames, source_text
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import find_images, read_image, read_png_text, write_png


def align(source, target, *flags):
    return run_command("align", ["-i", str(source), "-o", str(target), *map(str, flags)])


def report_of(target):
    return json.loads((target / "report.json").read_text())


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def album(tmp_path, head, scene):
    """Seven good faces in six files and seven files that have none to give."""
    folder = tmp_path / "imgs"
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "one.jpg", head, quality=95)
    save(folder / "turned.JPG", np.ascontiguousarray(np.rot90(head)), quality=95, exif=exif)
    save(folder / "sub" / "one.jpg", head[:, ::-1].copy(), quality=95)
    two = scene(200, 420)
    two[:, :200], two[40:160, 260:380] = head, np.asarray(Image.fromarray(head).resize((120, 120)))
    save(folder / "two.png", two)
    save(folder / "one.png", head)
    Image.fromarray(head).convert("CMYK").save(folder / "print.tif")
    save(folder / "nobody.png", scene(200, 200))
    small = scene(300, 300)
    small[100:150, 100:150] = np.asarray(Image.fromarray(head).resize((50, 50), Image.Resampling.LANCZOS))
    save(folder / "far.png", small)
    save(folder / "half.png", np.ascontiguousarray(head[:, 80:]))
    whole = (folder / "one.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[:len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


def test_a_mixed_album(album, tmp_path, capsys):
    target = tmp_path / "aligned"
    assert align(album, target, "-s", 96) == 0
    names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*.png"))
    assert names == ["one-png.png", "one.png", "print.png", "sub/one.png", "turned.png", "two.png", "two_1.png"]
    for path in target.rglob("*.png"):
        assert read_image(path).shape == (96, 96, 3)
        assert read_png_text(path)["Software"].startswith("diffusionrig")
    report = report_of(target)
    status = {entry["file"]: entry["status"] for entry in report["files"]}
    assert status == {
        "cut.jpg": "unreadable", "empty.jpg": "unreadable", "far.png": "too small", "half.png": "cut off",
        "nobody.png": "no face", "one.jpg": "aligned", "one.png": "aligned", "print.tif": "aligned",
        "sub/one.jpg": "aligned", "text.png": "unreadable", "turned.JPG": "aligned", "two.png": "aligned"}
    assert report["counts"] == {"aligned": 6, "no face": 1, "too small": 1, "cut off": 1, "unreadable": 3}
    assert report["ignored"] == ["notes.txt"]
    assert report["faces"] == 7
    out, err = capsys.readouterr()
    assert "12 photographs: 6 aligned, 1 no face, 1 too small, 1 cut off, 3 unreadable, 1 other files left out" in out
    for name in ("cut.jpg", "empty.jpg", "text.png", "far.png", "half.png", "nobody.png"):
        assert name in err
    assert "Traceback" not in out + err
    # The turned photograph gives the same face as the upright one; the larger of two faces comes first.
    upright, turned = read_image(target / "one.png").astype(int), read_image(target / "turned.png")
    assert np.abs(upright - turned).mean() < 3
    sizes = next(entry for entry in report["files"] if entry["file"] == "two.png")["faces"]
    assert [face["output"] for face in sizes] == ["two.png", "two_1.png"]
    assert sizes[0]["size"] > sizes[1]["size"]


def test_the_same_command_gives_the_same_bytes_with_any_number_of_workers(album, tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    assert align(album, first, "-s", 64, "--workers", 1) == 0
    assert align(album, second, "-s", 64, "--workers", 3) == 0
    contents = {path.relative_to(first): path.read_bytes() for path in first.rglob("*.png")}
    assert contents == {path.relative_to(second): path.read_bytes() for path in second.rglob("*.png")}
    assert align(album, first, "-s", 64) == 0
    assert contents == {path.relative_to(first): path.read_bytes() for path in first.rglob("*.png")}


def test_results_of_other_photographs_are_kept(head, tmp_path):
    target = tmp_path / "aligned"
    save(tmp_path / "a" / "me.jpg", head)
    save(tmp_path / "b" / "me.jpg", head[:, ::-1].copy())
    assert align(tmp_path / "a", target, "-s", 64) == 0
    before = (target / "me.png").read_bytes()
    assert align(tmp_path / "b", target, "-s", 64) == 0
    assert (target / "me.png").read_bytes() == before
    assert (target / "me-jpg.png").exists()
    # A folder that was moved is recognised by the photographs in it.
    shutil.move(tmp_path / "a", tmp_path / "c")
    assert align(tmp_path / "c", target, "-s", 64) == 0
    assert sorted(path.name for path in target.glob("*.png")) == ["me-jpg.png", "me.png"]
    write_png(target / "other.png", head)
    save(tmp_path / "d" / "other.jpg", head)
    assert align(tmp_path / "d", target, "-s", 64) == 0
    assert read_image(target / "other.png").shape == (200, 200, 3)
    assert read_image(target / "other-jpg.png").shape == (64, 64, 3)


def test_names_never_collide(tmp_path):
    root, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.jpg", "a.png", "A.JPG", "a_1.jpg", "a-png.bmp", "sub/a.jpg"):
        save(root / name, np.full((4, 4, 3), len(name), np.uint8))
    photos = find_images(root)
    names = OutputNames(root, out, photos)
    given = [path for photo in photos for path in names.of(photo, 3)]
    assert len({str(path).casefold() for path in given}) == len(given) == 3 * len(photos)
    assert names.bases == OutputNames(root, out, photos).bases
    assert names.of(root / "sub" / "a.jpg", 1) == [out / "sub" / "a.png"]


def test_metadata_names_no_folders_of_the_user(head, tmp_path):
    save(tmp_path / "private" / "sub" / "me.jpg", head)
    text = source_text(tmp_path / "private" / "sub" / "me.jpg", "sub/me.jpg", "0" * 64)
    assert "private" not in str(text)


def test_one_photograph_and_limits(album, head, tmp_path):
    assert align(album / "two.png", tmp_path / "one", "--faces", 1) == 0
    assert [path.name for path in (tmp_path / "one").glob("*.png")] == ["two.png"]
    assert align(album, tmp_path / "flat", "--recursive", "false", "--min_face", 90) == 0
    assert not (tmp_path / "flat" / "sub").exists()
    assert report_of(tmp_path / "flat")["faces"] == 5
    assert align(album / "one.jpg", tmp_path / "tiny", "--max_megapixels", 0.01) == 1
    assert "--max_megapixels" in report_of(tmp_path / "tiny")["files"][0]["note"]


def test_output_inside_the_input_is_not_read_again(head, tmp_path):
    save(tmp_path / "imgs" / "me.jpg", head)
    for _ in range(2):
        assert align(tmp_path / "imgs", tmp_path / "imgs" / "aligned", "-s", 64) == 0
    assert report_of(tmp_path / "imgs" / "aligned")["photos"] == 1


def test_a_photograph_that_breaks_a_tool_does_not_end_the_run(head, tmp_path, monkeypatch, capsys):
    from diffusionrig.faces.landmarker import FaceLandmarker

    save(tmp_path / "imgs" / "a.png", head)
    save(tmp_path / "imgs" / "b.png", head[:150].copy())
    detect = FaceLandmarker.detect

    def breaking(self, image, *rest):
        if image.shape[0] == 150:
            raise MemoryError
        return detect(self, image, *rest)

    monkeypatch.setattr(FaceLandmarker, "detect", breaking)
    assert align(tmp_path / "imgs", tmp_path / "out", "-s", 64) == 0
    assert report_of(tmp_path / "out")["counts"]["unreadable"] == 1
    assert "could not be processed (MemoryError)" in capsys.readouterr().err


def test_requests_that_cannot_be_met(album, head, scene, tmp_path, capsys):
    def sentence(status, *arguments):
        assert align(*arguments) == status
        error = capsys.readouterr().err.strip()
        assert "Traceback" not in error
        return error.splitlines()[-1]

    assert "There is no folder of photographs at" in sentence(2, tmp_path / "absent", tmp_path / "out")
    assert "both input and output" in sentence(2, album, album)
    (tmp_path / "bare").mkdir()
    assert "There are no photographs in" in sentence(1, tmp_path / "bare", tmp_path / "out")
    save(tmp_path / "empty" / "scene.png", scene(120, 120))
    assert "No face could be aligned in" in sentence(1, tmp_path / "empty", tmp_path / "out")
    assert report_of(tmp_path / "out")["counts"]["no face"] == 1
    (tmp_path / "file").write_text("")
    assert "is a file, but a folder is needed" in sentence(2, album, tmp_path / "file")
    assert "There is no face detector 'magic'" in sentence(2, album, tmp_path / "out", "--detector", "magic")


def test_a_full_disk_ends_the_run_with_a_sentence(album, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffusionrig.io.files.os.fsync", full)
    assert align(album, tmp_path / "out", "-s", 64) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert "Traceback" not in error
    assert list((tmp_path / "out").rglob("*.png")) == []


def test_a_read_only_folder_gets_a_sentence(album, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("diffusionrig.io.files.os.access", lambda *_: False)  # chmod does not stop root
    assert align(album, tmp_path / "out") == 1
    assert "cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize(("detector", "module", "extra"), [
    ("dlib", "dlib", 'pip install "diffusionrig[dlib]"'), ("fan", "face_alignment", 'pip install "diffusionrig[fan]"')])
def test_an_absent_backend_names_its_extra(detector, module, extra, monkeypatch):
    from diffusionrig.faces import backends

    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RigError, match=module) as caught:
        backends.make_finder(detector)
    assert extra in str(caught.value)


def test_fan_never_downloads(monkeypatch, tmp_path):
    import torch

    from diffusionrig.faces.fan_backend import FanFinder

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(RigError, match=r"2DFAN4-11f355bf06\.pth\.tar and s3fd-619a316812\.pth"):
        FanFinder()
    assert list(tmp_path.iterdir()) == []


def test_dlib_agrees_with_the_default(portrait, face):
    pytest.importorskip("dlib")
    pytest.importorskip("face_recognition_models")
    from diffusionrig.faces.backends import make_finder

    found = make_finder("dlib").detect(portrait)
    assert len(found) == 1
    eyes = np.linalg.norm(face.points[33, :2] - face.points[263, :2])
    assert np.linalg.norm(found[0].points68[17:] - face.points68[17:], axis=1).mean() < 0.08 * eyes


def test_two_runs_in_one_folder(head, tmp_path, capsys):
    save(tmp_path / "imgs" / "one.png", head)
    with folder_lock(tmp_path / "faces", "align"):
        assert align(tmp_path / "imgs", tmp_path / "faces") == 1
    assert "faces is in use by process" in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()


def test_the_published_script_runs(head, tmp_path):
    save(tmp_path / "imgs" / "me.jpg", head)
    done = subprocess.run([sys.executable, "scripts/align.py", "-i", str(tmp_path / "imgs"), "-o",
                           str(tmp_path / "imgs_align"), "-s", "64"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "1 faces written" in done.stdout
    assert read_image(tmp_path / "imgs_align" / "me.png").shape == (64, 64, 3)


def test_faces_of_another_size_are_not_replaced_unless_asked_for(album, tmp_path, capsys):
    target = tmp_path / "aligned"
    assert align(album, target, "-s", 64) == 0
    before = {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert align(album, target, "-s", 96) == 2
    error = capsys.readouterr().err
    assert "holds 6 faces of 64 pixels that were cut out of these photographs, but 96 were asked for" in error
    assert error.count("\n") == 1
    assert before == {path: path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert align(album, target, "-s", 96, "--overwrite", True) == 0
    assert {path for path in target.rglob("*") if path.is_file()} == before.keys()
    assert {read_image(path).shape for path in target.rglob("*.png")} == {(96, 96, 3)}


@pytest.mark.parametrize("text", ['{"mine": 1}', '{"command": "curate"}', "no json"])
def test_a_report_of_somebody_else_is_kept(head, tmp_path, capsys, text):
    save(tmp_path / "in" / "me.png", head)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text(text)
    assert align(tmp_path / "in", tmp_path / "out", "-s", 64) == 2
    assert "report.json was not written by this command" in capsys.readouterr().err
    assert (tmp_path / "out" / "report.json").read_text() == text
    assert len(list((tmp_path / "out").iterdir())) == 1
