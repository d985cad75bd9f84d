"""``diffusionrig capture`` end to end, with good and bad files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from diffusionrig.capture.batch import result_names
from diffusionrig.capture.saved_codes import load_codes
from diffusionrig.cli import main
from diffusionrig.errors import RigError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.assets import asset_path
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import read_image, read_png_text, write_png
from diffusionrig.io.resize import resize_square


def test_good_and_bad_files_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    portrait = read_image(asset_path("portrait.jpg"))
    write_png(source / "portrait.png", portrait)
    write_png(source / "wall.png", np.full((120, 120, 3), 90, np.uint8))
    (source / "text.png").write_text("not an image")
    (source / "empty.jpg").write_bytes(b"")
    (source / "raw.nef").write_bytes(b"raw")
    assert main(["capture", str(source), "-o", str(target), "--image_size", "96", "--device", "cpu"]) == 0
    report = json.loads((target / "report.json").read_text())
    assert report["counts"] == {"images": 4, "captured": 1, "flagged": 0, "bridged": 0, "without_face": 1, "unreadable": 2}
    assert (report["encoder"], report["model"]) == ("FIT", "FIT")
    status = {row["name"]: row["status"] for row in report["images"]}
    assert status == {"empty": "unreadable", "portrait": "captured", "text": "unreadable", "wall": "no face"}
    printed = capsys.readouterr().out
    assert "empty (0 bytes)" in printed
    assert "1 of 4 photographs captured" in printed
    assert "1 picture or video of another kind was not read: " in printed.splitlines()[-1]
    assert report["unread"] == [str(source / "raw.nef")]
    code, files = load_codes(target / "codes.npz")
    assert files == [str(source / "portrait.png")]
    assert len(code) == 1
    assert float(code.frame[0, 0]) == portrait.shape[1]
    for ending in ("overlay.png", "shape.png", "rendered.png", "albedo.png"):
        assert (target / f"portrait_{ending}").is_file(), ending
    assert read_image(target / "portrait_overlay.png").shape == (96, 96, 3)
    check_mesh(target / "portrait.obj")


def check_mesh(path: Path) -> None:
    head = load_head()
    lines = path.read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == int(head.faces.max()) + 1
    corners = [line.split()[1:] for line in lines if line.startswith("f ")]
    assert len(corners) == len(head.faces)
    assert corners[0] == [f"{v + 1}/{t + 1}" for v, t in zip(head.faces[0].tolist(), head.uv_faces[0].tolist())]
    assert f"map_Kd {path.stem}_albedo.png" in path.with_suffix(".mtl").read_text()


def test_nothing_captured_is_status_one(tmp_path: Path) -> None:
    write_png(tmp_path / "wall.png", np.full((64, 64, 3), 90, np.uint8))
    assert main(["capture", str(tmp_path / "wall.png"), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert not (tmp_path / "out" / "codes.npz").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (["nowhere.png"], "no file or folder nowhere.png"),
    (["."], "No image files"),
    ([".", "--use_model", "DECA"], "deca_model.tar"),
    ([".", "--use_model", "XYZ"], "choose one of DECA, EMOCA, SMIRK, FIT"),
])
def test_wrong_requests_are_one_sentence(arguments: list[str], words: str, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    if "--use_model" in arguments:
        write_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    assert main(["capture", *arguments, "-o", "out"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_frames_of_a_video_are_captured_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    portrait = resize_square(read_image(asset_path("portrait.jpg")), 256)
    with av.open(str(folder / "clip.MP4"), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for number in range(5):
            picture = portrait if number != 2 else np.full_like(portrait, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    (folder / "broken.mov").write_bytes(b"no video")
    assert main(["capture", str(folder), "-o", str(target), "--image_size", "64", "--device", "cpu", "--every", "2",
                 "--save_mesh", "False", "--batch_size", "2", "--use_model", "FIT", "--track", "off"]) == 0
    report = json.loads((target / "report.json").read_text())
    assert [(row["name"], row.get("frame"), row.get("seconds"), row["status"]) for row in report["images"]] == [
        ("broken", None, None, "unreadable"), ("clip_frame0000", 0, 0.0, "captured"), ("clip_frame0002", 2, 0.2, "no face"),
        ("clip_frame0004", 4, 0.4, "captured")]
    assert (target / "clip_frame0004_overlay.png").is_file()
    assert load_codes(target / "codes.npz")[1] == [f"{folder / 'clip.MP4'}#0", f"{folder / 'clip.MP4'}#4"]
    assert "clip.MP4#2: No face was found." in capsys.readouterr().out


def test_results_of_one_stem_do_not_overwrite_each_other() -> None:
    assert result_names([Path("a/x.png"), Path("b/x.jpg"), Path("c/X.png"), Path("x_1.png")]) == ["x", "x_1", "X_2", "x_1_1"]


def test_codes_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(RigError, match="does not hold face codes"):
        load_codes(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", a=np.array([{}], dtype=object))
    with pytest.raises(RigError, match="plain arrays"):
        load_codes(tmp_path / "pickled.npz")


@pytest.mark.parametrize("name", ["portrait_overlay.png", "portrait.obj", "portrait_frame0003_shape.png"])
def test_results_under_a_photograph_s_name_are_kept_when_somebody_else_made_them(name: str, tmp_path: Path,
                                                                                 capsys: pytest.CaptureFixture[str]) -> None:
    words = ["capture", str(asset_path("portrait.jpg")), "-o", str(tmp_path), "--image_size", "64", "--device", "cpu"]
    stranger = tmp_path / name
    if name.endswith(".png"):
        write_png(stranger, np.zeros((8, 8, 3), np.uint8))
    else:
        stranger.write_text("v 0 0 0\n")
    write_png(tmp_path / "portraits_overlay.png", np.zeros((8, 8, 3), np.uint8))  # no name of this run's
    kept = stranger.read_bytes()
    assert main(words) == 2
    assert f"{name} was not written by this command" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([name, "portraits_overlay.png"])
    assert stranger.read_bytes() == kept


def test_results_of_a_killed_or_earlier_capture_are_its_own(tmp_path: Path) -> None:
    target = tmp_path / "out"
    words = ["capture", str(asset_path("portrait.jpg")), "-o", str(target), "--image_size", "64", "--device", "cpu"]
    with folder_lock(target, "capture"):
        assert main(words) == 1
    assert not target.exists()
    assert main(words) == 0
    for name in ("portrait_overlay.png", "portrait_albedo.png"):
        assert read_png_text(target / name)["Software"].endswith("capture")
    for name in ("portrait.obj", "portrait.mtl"):
        assert (target / name).read_text().startswith("# diffusionrig capture\n")
    report = (target / "report.json").read_text()
    (target / "report.json").unlink()  # as a kill before the end leaves it
    assert main(words) == 0
    # Of before results were marked: known by the report that lists them.
    write_png(target / "portrait_overlay.png", np.zeros((8, 8, 3), np.uint8))
    (target / "portrait.obj").write_text("v 0 0 0\n")
    (target / "report.json").write_text(report)
    assert main(words) == 0
    assert read_image(target / "portrait_overlay.png").shape == (64, 64, 3)


@pytest.mark.parametrize("name", ["report.json", "codes.npz", "contact_sheet.png"])
def test_files_of_somebody_else_are_kept(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["capture", str(asset_path("portrait.jpg")), "-o", str(tmp_path / "out"), "--image_size", "64", "--save_mesh", "False",
             "--device", "cpu"]
    (tmp_path / "out").mkdir()
    stranger = tmp_path / "out" / name
    if name == "codes.npz":
        np.savez(stranger, x=np.zeros(3))
    elif name == "contact_sheet.png":
        write_png(stranger, np.zeros((8, 8, 3), np.uint8))
    else:
        stranger.write_text("{}")
    kept = stranger.read_bytes()
    assert main(words) == 2
    assert f"{name} was not written by this command" in capsys.readouterr().err
    assert [file.read_bytes() for file in (tmp_path / "out").iterdir()] == [kept]
    stranger.unlink()
    assert main(words) == 0
    assert main(words) == 0  # its own are written anew
    # A run of before said less of itself.
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report.pop("command") == "capture"
    (tmp_path / "out" / "report.json").write_text(json.dumps(report))
    write_png(tmp_path / "out" / "contact_sheet.png", np.zeros((8, 8, 3), np.uint8))
    assert main(words) == 0
