import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import face_code, photo
from stamped_clips import click, greys, onset, write_stamped

from diffusionrig.capture.registry import make_encoder
from diffusionrig.capture.saved_codes import load_codes
from diffusionrig.cli import main
from diffusionrig.editing import clip as clip_module
from diffusionrig.editing.clip import Drive, drives, run_clip
from diffusionrig.editing.clip_drawing import FrameFolder, draw_clip
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.driving import capture_clip, fill_gaps, gap_sentences, relative_to, smoothed
from diffusionrig.editing.order import Order
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import Smoothing
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.geometry.rotations import axis_angle_to_matrix
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import read_image
from diffusionrig.io.movies import movie_info, write_movie
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sound import Sound, read_sound

QUICK = Sampling(respacing="ddim2", seed=1)


@pytest.fixture
def order(tmp_path):
    (tmp_path / "frames").mkdir()
    for number, seed in enumerate((3, 4, 255, 5, 6)):
        Image.fromarray(photo(seed)).save(tmp_path / "frames" / f"frame_{number}.png")
    Image.fromarray(photo(1)).save(tmp_path / "me.png")
    return Order(source=str(tmp_path / "me.png"), target=str(tmp_path / "frames"), edits=parse_modes("exp+pose"),
                 output_dir=str(tmp_path / "out"), sampling=QUICK)


def series(*seeds: int) -> FaceCode:
    return FaceCode.concatenate([face_code(seed) for seed in seeds])


def test_every_frame_is_the_edit_of_that_frame(rig, order, tmp_path):
    (tmp_path / "frames" / "frame_5.exr").write_bytes(b"raw")
    report = run_clip(rig, order, Drive())
    assert [problem["problem"] for problem in report["problems"]] == [
        f"1 picture or video of another kind was not read: {tmp_path / 'frames' / 'frame_5.exr'}."]
    assert report["clip"]["frames_without_face"] == [2]
    assert [output["file"] for output in report["outputs"]] == ["0_exp+pose.mp4"]
    for frame, seed in ((0, 3), (4, 6)):
        wanted = rig.edit(photo(1), photo(seed), "exp+pose", sampling=QUICK).image
        drawn = np.asarray(Image.open(tmp_path / "out" / "0_exp+pose" / f"frame_{frame}.png"))
        assert np.abs(drawn.astype(int) - wanted).max() <= 1
    info = movie_info(tmp_path / "out" / "0_exp+pose.mp4")
    assert (info.frames, info.fps, info.width) == (5, 25, 256)
    assert "AI-edited" in info.comment
    assert read_provenance(tmp_path / "out" / "0_exp+pose" / "frame_4.png")["intact"]
    assert report["outputs"][0]["jitter"]["buffers"] > 0
    assert (tmp_path / "out" / report["outputs"][0]["strip"]).is_file()


def test_a_stopped_clip_is_continued_and_another_refused(rig, order, tmp_path, monkeypatch):
    place = tmp_path / "out" / "0_exp+pose"
    report = run_clip(rig, order, Drive())
    assert (report["clip"]["frames_without_face"], report["clip"]["frames_held"]) == ([2], [])
    first = {path.name: path.read_bytes() for path in place.glob("frame_*.png")}
    (place / "frame_1.png").unlink()
    (place / "frame_4.png").unlink()
    drawn = []

    def counted(*args):
        for frame, image in draw_clip(*args):
            drawn.append(frame)
            yield frame, image

    monkeypatch.setattr(clip_module, "draw_clip", counted)
    monkeypatch.setattr(clip_module, "capture_clip", lambda *args: pytest.fail("the clip was captured again"))
    assert run_clip(rig, order, Drive())["clip"] == report["clip"]
    assert drawn == [1, 4]
    # Drawn in smaller batches than before, which may round otherwise; the others are not touched.
    again = {path.name: path.read_bytes() for path in place.glob("frame_*.png")}
    assert again.keys() == first.keys()
    assert {name for name in again if again[name] != first[name]} <= {"frame_1.png", "frame_4.png"}
    for name in ("frame_1.png", "frame_4.png"):
        before, now = (np.asarray(Image.open(io.BytesIO(files[name]))).astype(int) for files in (first, again))
        assert np.abs(now - before).max() <= 1
    with pytest.raises(UsageError, match="made otherwise"):
        run_clip(rig, order, Drive(smoothing=Smoothing(1.0)))
    run_clip(rig, dataclasses.replace(order, overwrite=True), Drive(smoothing=Smoothing(1.0)))
    assert {path.name for path in place.glob("frame_*.png")} == set(first)
    assert (place / "frame_4.png").read_bytes() != first["frame_4.png"]


def test_a_video_gives_its_rate_and_its_sound(rig, order, tmp_path):
    frames = [np.full((64, 64, 3), level, np.uint8) for level in (40, 80, 120, 160)]
    tone = np.sin(np.arange(1600) / 5)[:, None].astype(np.float32) / 2
    write_movie(tmp_path / "drive.mp4", frames, 12.5, Sound(tone, 16000))
    report = run_clip(rig, dataclasses.replace(order, target=str(tmp_path / "drive.mp4"), edits=parse_modes("exp,light")), Drive())
    assert [output["file"] for output in report["outputs"]] == ["0_exp.mp4", "1_light.mp4"]
    info = movie_info(tmp_path / "out" / "1_light.mp4")
    assert (info.frames, info.fps) == (4, 12.5)
    assert abs(info.sound_seconds - info.seconds) < 1 / 12.5
    assert "shorter than the 0.32 s of pictures; its end is silent" in report["problems"][0]["problem"]


def test_a_clip_of_varying_rate_is_edited_in_its_time(rig, order, tmp_path):
    times = [0, 0.04, 0.08, 0.36, 0.4, 0.44]
    path = write_stamped(tmp_path / "drive.mp4", greys(6), times, sound=click(0.4, 0.2), sound_start=0.1)
    report = run_clip(rig, dataclasses.replace(order, target=str(path), edits=parse_modes("exp")), Drive())
    assert report["problems"] == []
    assert (report["clip"]["frames"], report["clip"]["fps"]) == (12, 25)
    info = movie_info(tmp_path / "out" / "0_exp.mp4")
    assert (info.frames, info.fps, info.seconds) == (12, 25, pytest.approx(0.48))
    # Frames that the clip holds are drawn from one picture of it.
    code, places = load_codes(tmp_path / "out" / "driving_codes.npz")
    assert [int(place.rpartition("#")[2]) for place in places] == [0, 1, 2, 2, 2, 2, 2, 2, 2, 3, 4, 5]
    torch.testing.assert_close(code.expression[3:9], code.expression[2:3].expand(6, -1))
    heard = read_sound(tmp_path / "out" / "0_exp.mp4")
    assert heard.start + onset(heard.samples, heard.rate) == pytest.approx(0.3, abs=0.004)


@pytest.mark.parametrize("clip", [False, True])
def test_an_animated_picture_drives_as_a_video_does(rig, order, checkpoint, tmp_path, clip, capsys):
    path = tmp_path / "drive.gif"
    first, *others = (Image.fromarray(picture) for picture in greys(3))
    first.save(path, save_all=True, append_images=others, duration=[100, 300, 100])
    assert drives(str(path), clip)
    words = ["edit", "--model_path", str(checkpoint), "--source", order.source, "--target", str(path), "--modes", "exp",
             "--timestep_respacing", "ddim2", "--device", "cpu", "--output_dir", str(tmp_path / "cli"), "--clip", str(clip)]
    assert main(words) == 0
    assert "0_exp.mp4: 5 frames" in capsys.readouterr().out
    assert (movie_info(tmp_path / "cli" / "0_exp.mp4").fps, movie_info(tmp_path / "cli" / "0_exp.mp4").frames) == (10, 5)


@pytest.mark.parametrize("keep", ["none", "all"])
def test_a_frame_does_not_depend_on_the_others(rig, keep):
    source = rig.capture(photo(1))
    code, centre = source.code.repeat(3), source.centre.expand(3, 3)
    code = code.replace(expression=series(2, 3, 4).expression)
    sampling = dataclasses.replace(QUICK, keep=keep)
    together = dict(draw_clip(rig, source, code, centre, [0, 1, 2], sampling, batch_size=3))
    alone = dict(draw_clip(rig, source, code, centre, [2], sampling))
    assert np.abs(together[2].astype(int) - alone[2]).max() <= 1
    still = dict(draw_clip(rig, source, source.code.repeat(2), centre[:2], [0, 1], sampling, batch_size=2))
    assert np.array_equal(still[0], still[1])


def test_gaps_are_crossed_evenly():
    code = series(1, 9, 9, 2, 9)
    driving = fill_gaps(code, torch.tensor([True, False, False, True, False]), 10)
    assert (driving.gaps, driving.held) == ([1, 2, 4], [4])
    first, last = code[0].expression[0], code[3].expression[0]
    for row, share in enumerate((0, 1 / 3, 2 / 3, 1, 1)):
        torch.testing.assert_close(driving.code.expression[row], torch.lerp(first, last, share))
    leading = fill_gaps(code, torch.tensor([False, False, False, True, True]), 10)
    assert torch.equal(leading.code.light[0], code.light[3])
    # What lasts longer than three tenths of a second is not made up.
    long = fill_gaps(code, torch.tensor([True, False, False, True, True]), 5)
    assert long.held == [1, 2]
    assert torch.equal(long.code.expression[2], code.expression[0])


def test_one_person_is_tracked_with_fit_unless_told_otherwise():
    picture = resize_square(read_image("diffusionrig/assets/portrait.jpg"), 128)
    frames = [np.roll(picture, x, 1) for x in (0, 2, 4)]
    encoder = make_encoder("FIT", load_head(), "cpu")
    tracked, alone = (capture_clip(frames, 3, encoder, 2, "clip", 25, track) for track in ("auto", "off"))
    assert torch.equal(tracked.code.shape, tracked.code.shape[:1].expand(3, -1))
    assert not torch.equal(alone.code.shape[0], alone.code.shape[1])
    assert (tracked.gaps, alone.gaps, tracked.held) == ([], [], [])


def test_gaps_are_said_in_sentences():
    assert gap_sentences(90, [], [], [], []) == []
    said = gap_sentences(90, [3, 4, 50, 51], [50, 51], [50], [7])
    assert [sentence.split(",")[0] for sentence in said] == [
        "2 of 90 frames show no face; they go from the face before to the face after.", "2 of 90 frames",
        "From frame 50 on somebody else is seen (1 times in all); those frames are left out.",
        "In 1 of 90 frames"]


def test_relative_transfer_starts_at_the_source_and_composes_turns():
    source, driving, head = face_code(1), series(2, 3), load_head()
    moved = relative_to(source, driving, driving[0], head)
    torch.testing.assert_close(moved.expression[:1], source.expression.clamp(0, 1))
    torch.testing.assert_close(moved.light[:1], source.light)
    torch.testing.assert_close(moved.pose[:1], source.pose, atol=1e-5, rtol=0)
    turn = axis_angle_to_matrix(moved.pose[1, :3]) @ axis_angle_to_matrix(source.pose[0, :3]).T
    wanted = axis_angle_to_matrix(driving.pose[1, :3]) @ axis_angle_to_matrix(driving.pose[0, :3]).T
    torch.testing.assert_close(turn, wanted, atol=1e-5, rtol=0)
    assert (moved.expression >= 0).all()
    assert (moved.expression <= 1).all()


def test_every_source_is_drawn_in_every_mode(rig, order, tmp_path):
    (tmp_path / "sources").mkdir()
    for seed in (1, 2):
        Image.fromarray(photo(seed)).save(tmp_path / "sources" / f"{seed}.png")
    for number in (1, 2, 3, 4):
        (tmp_path / "frames" / f"frame_{number}.png").unlink()
    report = run_clip(rig, dataclasses.replace(order, source=str(tmp_path / "sources"), edits=parse_modes("exp,pose")), Drive())
    for output, (seed, mode) in zip(report["outputs"], ((1, "exp"), (1, "pose"), (2, "exp"), (2, "pose"))):
        assert (output["source"], output["mode"]) == (str(tmp_path / "sources" / f"{seed}.png"), mode)
        wanted = rig.edit(photo(seed), photo(3), mode, sampling=QUICK).image.astype(int)
        assert np.abs(read_image(tmp_path / "out" / output["frames"] / "frame_0.png") - wanted).max() <= 1


def test_a_relative_clip_begins_with_the_source_as_it_is(rig, order, tmp_path):
    for number in (2, 3, 4):
        (tmp_path / "frames" / f"frame_{number}.png").unlink()
    run_clip(rig, order, Drive(relative=True))
    source = rig.capture(photo(1))
    (_, still), = draw_clip(rig, source, source.code, source.centre, [0], QUICK)
    first, second = (read_image(tmp_path / "out" / "0_exp+pose" / f"frame_{number}.png").astype(int) for number in (0, 1))
    assert np.abs(first - still).max() <= 1
    assert np.abs(second - still).max() > 8


def test_smoothing_touches_what_moves_alone():
    code = series(1, 2, 3)
    calm = smoothed(code, 25, Smoothing(0.5, 0.0))
    assert torch.equal(calm.shape, code.shape)
    assert torch.equal(calm.expression[0], code.expression[0])
    assert (calm.expression[2] - calm.expression[1]).norm() < 0.5 * (code.expression[2] - code.expression[1]).norm()


def test_what_cannot_drive_is_one_sentence(rig, order, tmp_path):
    with pytest.raises(UsageError, match="flickers"):
        run_clip(rig, dataclasses.replace(order, edits=parse_modes("latent")), Drive())
    with pytest.raises(UsageError, match="save_buffers"):
        run_clip(rig, dataclasses.replace(order, save_buffers=True), Drive())
    with pytest.raises(RigError, match="No face was found in any frame of clip"):
        capture_clip([photo(255)] * 3, 3, rig.encoder(), 2, "clip", 25)
    assert drives("a.mp4", False)
    assert drives(str(tmp_path / "frames"), True)
    assert not drives(str(tmp_path / "frames"), False)
    with pytest.raises(UsageError, match="is one picture"):
        drives(str(tmp_path / "me.png"), True)


def test_the_command_takes_a_clip(rig, order, checkpoint, tmp_path, capsys):
    words = ["edit", "--model_path", str(checkpoint), "--source", order.source, "--target", order.target, "--clip", "True",
             "--modes", "exp", "--relative", "True", "--fps", "10", "--timestep_respacing", "ddim2", "--device", "cpu",
             "--output_dir", str(tmp_path / "cli")]
    assert main(words) == 0
    seen = capsys.readouterr()
    assert "0_exp.mp4: 5 frames" in seen.out
    assert "1 of 5 frames show no face" in seen.err
    assert movie_info(tmp_path / "cli" / "0_exp.mp4").fps == 10
    assert main(["verify", str(tmp_path / "cli" / "0_exp.mp4"), str(tmp_path / "cli" / "0_exp" / "frame_0.png")]) == 0
    assert "0_exp.mp4: AI-edited by diffusionrig" in capsys.readouterr().out
    # A folder without the flag is what it always was: one target per picture.
    words[words.index("--clip") + 1], words[-1] = "False", str(tmp_path / "pictures")
    assert main(words) == 0
    assert (tmp_path / "pictures" / "3_exp.png").is_file()


def test_a_folder_with_a_hole_is_not_made_a_video(tmp_path):
    folder = FrameFolder(tmp_path / "f", {"a": 1}, 2)
    Image.fromarray(photo(1)).save(folder.path(0))
    assert folder.missing() == [1]
    with pytest.raises(RigError, match=r"frame_1\.png is missing"):
        list(folder.frames())


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    folder = FrameFolder(tmp_path / "f", {"a": 1}, 12)
    for number in range(12):
        Image.fromarray(photo(20 * number)).save(folder.path(number))
    assert [int(frame[0, 0, 0]) for frame in folder.frames()] == [20 * number for number in range(12)]


def test_a_folder_of_somebody_else_or_in_use_is_refused(rig, order, tmp_path):
    with folder_lock(tmp_path / "out", "edit"), pytest.raises(RigError, match="in use"):
        run_clip(rig, order, Drive())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text("{}")
    with pytest.raises(UsageError, match=r"report\.json was not written by this command"):
        run_clip(rig, order, Drive())
    assert [file.read_text() for file in (tmp_path / "out").iterdir()] == ["{}"]
