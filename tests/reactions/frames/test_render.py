import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import face_code, photo
from stamped_clips import click, greys, onset, which, write_stamped
from warm import Warm

from diffusionrig.cli import main
from diffusionrig.data.records import code_arrays
from diffusionrig.editing.capturing import Capturing
from diffusionrig.editing.clip_drawing import draw_clip
from diffusionrig.editing.photographs import find_faces, is_aligned
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.backends import make_finder
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.movies import movie_info
from diffusionrig.io.sound import read_sound
from diffusionrig.io.video import all_frames
from diffusionrig.io.wav import write_wav
from diffusionrig.reactions.corpus.attributes import COLUMNS
from diffusionrig.reactions.frames import drawing
from diffusionrig.reactions.frames.codes import neutral_of, reaction_codes
from diffusionrig.reactions.frames.drawing import Look
from diffusionrig.reactions.frames.listener import find_listener
from diffusionrig.reactions.frames.render import Order, Reading, render
from diffusionrig.reactions.live.showing import LiveFrames

FRAMES, SAMPLES = 5, 2
LOOK = Look(panel=32, sampling=Sampling(respacing="ddim2"), batch_size=4)


def motion() -> np.ndarray:
    rows = np.zeros((SAMPLES, FRAMES, 58), np.float32)
    rows[..., 52], rows[..., 57] = math.pi, 1.8
    rows[..., 24] = np.linspace(0, 0.6, FRAMES)
    rows[1, :, 53] = np.linspace(0, 0.3, FRAMES)
    return rows


@pytest.fixture
def order(tmp_path):
    np.save(tmp_path / "p_3dmm.npy", motion())
    np.save(tmp_path / "p.npy", np.zeros((SAMPLES, FRAMES, 25), np.float32))
    Image.fromarray(photo(1)).save(tmp_path / "me.png")
    write_wav(tmp_path / "speaker.wav", np.zeros((800, 1), np.int16), 16000)
    return Order(str(tmp_path / "p_3dmm.npy"), str(tmp_path / "out"), str(tmp_path / "me.png"), audio=str(tmp_path / "speaker.wav"),
                 look=LOOK)


@pytest.fixture
def corpus(tmp_path):
    """One pair of NoXI in the layout of REACT, 5 frames (6 of coefficients and pictures)."""
    root = tmp_path / "react"
    for seed, (role, renamed) in enumerate((("Expert_video", "P1"), ("Novice_video", "P2")), 1):
        stem = Path("NoXI/001/") / role
        for folder in ("Video_files", "Audio_files", "3D_FV_files"):
            (root / "val" / folder / stem).mkdir(parents=True)
        for number in range(1, FRAMES + 2):
            (root / "val" / "Video_files" / stem / "1").mkdir(exist_ok=True)
            Image.fromarray(photo(seed)).save(root / "val" / "Video_files" / stem / "1" / f"{number}.png")
        write_wav(root / "val" / "Audio_files" / stem / "1.wav", np.zeros((FRAMES * 640, 2), np.int16), 16000)
        np.save(root / "val" / "3D_FV_files" / stem / "1.npy", np.full((FRAMES + 1, 1, 58), 0.125, np.float32))
        emotion = root / "val" / "Emotion" / "NoXI" / "001" / renamed / "1.csv"
        emotion.parent.mkdir(parents=True)
        emotion.write_text("\n".join([",".join(COLUMNS), *[",".join([str(seed)] * 25)] * FRAMES]) + "\n")
    (root / "val.csv").write_text(",speaker_path,listener_path\n0,NoXI/001/Expert_video/1,NoXI/001/Novice_video/1\n")
    mean = np.zeros(58, np.float32)
    mean[52], mean[57] = math.pi, 1.8
    np.save(root / "mean_face.npy", mean)
    return root


def test_a_reaction_is_laid_out_as_faceais_does(rig, order, tmp_path):
    report = render(order, rig)
    place = tmp_path / "out" / "p_3dmm" / "version_0" / "val" / "only_submit_video"
    assert report["folder"] == str(place)
    names = {path.name for path in place.iterdir()}
    assert names == {"report.json", "metrics.txt", "listener_pred_3dmm.pt", "listener_pred_emotion.pt",
                     *(word.format(name) for name in ("b1_ind1", "b1_ind2")
                       for word in ("{}.json", "{}.mp4", "{}_strip.png", "mesh_video_{}", "fake_video_{}"))}
    frames = [f"frame_{number}.png" for number in range(FRAMES)]
    for folder in ("mesh_video_b1_ind2", "fake_video_b1_ind2"):
        assert sorted(path.name for path in (place / folder).glob("*.png")) == frames
    assert read_provenance(place / "fake_video_b1_ind2" / "frame_4.png")["mode"] == "reaction"
    addresses = json.loads((place / "b1_ind2.json").read_text())
    assert set(addresses) == {"lt_gt_frame_address", "sp_gt_frame_address", "mesh_video_address", "fake_video_address"}
    assert addresses["mesh_video_address"] == str(place / "mesh_video_b1_ind2")
    for name, width in (("listener_pred_3dmm", 58), ("listener_pred_emotion", 25)):
        assert torch.load(place / f"{name}.pt", weights_only=True).shape == (1, SAMPLES, FRAMES, width)
    movie = movie_info(place / "b1_ind1.mp4")
    assert (movie.frames, movie.fps, movie.width, movie.height) == (FRAMES, 25, 2 * 32, 32)
    assert abs(movie.sound_seconds - movie.seconds) < 1 / 25
    assert "AI-edited" in movie.comment
    assert report["clips"]["b1_ind1"]["notes"] == ["The sound is 0.15 s shorter than the 0.20 s of pictures; its end is silent."]
    assert report["clips"]["b1_ind1"]["jitter"]["ratio"] > 0
    assert f"b1_ind2 frames: {FRAMES}\n" in (place / "metrics.txt").read_text()


def test_a_stopped_run_is_continued_and_another_refused(rig, order, monkeypatch):
    one = dataclasses.replace(order, samples=[0])
    place = Path(render(one, rig)["folder"]) / "fake_video_b1_ind1"
    first = {path.name: path.read_bytes() for path in place.glob("*.png")}
    (place / "frame_2.png").unlink()
    drawn, draw = [], drawing.draw_clip
    monkeypatch.setattr(drawing, "draw_clip", lambda *args: ((drawn.append(t), (t, image))[1] for t, image in draw(*args)))
    render(one, rig)
    assert drawn == [2]
    assert {path.name: path.read_bytes() for path in place.glob("*.png")} == first
    other = dataclasses.replace(one, look=dataclasses.replace(LOOK, sampling=Sampling(respacing="ddim2", seed=1)))
    with pytest.raises(UsageError, match="made otherwise"):
        render(other, rig)
    assert {path.name: path.read_bytes() for path in place.glob("*.png")} == first
    render(dataclasses.replace(other, look=dataclasses.replace(other.look, overwrite=True)), rig)
    assert (place / "frame_2.png").read_bytes() != first["frame_2.png"]


def test_a_corpus_gives_speaker_listener_sound_and_truth(rig, order, corpus):
    np.save(corpus.parent / "n_3dmm.npy", np.stack([motion(), motion()[::-1]]))
    asked = dataclasses.replace(order, prediction=str(corpus.parent / "n_3dmm.npy"), data=str(corpus), item=1, listener="",
                                audio="", samples=[1])
    (corpus / "val" / "Video_files" / "NoXI" / "001" / "Novice_video" / "1" / "7.exr").write_bytes(b"raw")
    report = render(asked, rig)
    place = Path(report["folder"])
    clip = report["clips"]["b2_ind2"]
    assert ["7.exr" in note for note in clip["notes"]].count(True) == 1
    assert clip["columns"] == ["speaker", "listener", "mesh", "photo"]
    assert clip["request"]["neutral"] == "mean"
    # No expression as in the mean face; turn and place as in the listener's own first frame.
    assert clip["request"]["neutral_row"] == [0.0] * 52 + [0.125] * 6
    addresses = json.loads((place / "b2_ind2.json").read_text())
    # Item 1 of one pair is the pair with its roles exchanged.
    assert addresses["lt_gt_frame_address"][-1].endswith(f"Expert_video/1/{FRAMES}.png")
    assert addresses["sp_gt_frame_address"][0].endswith("Novice_video/1/1.png")
    assert movie_info(place / "b2_ind2.mp4").width == 4 * 32
    assert movie_info(place / "b2_ind2.mp4").sound_seconds == pytest.approx(FRAMES / 25, abs=0.04)
    assert torch.load(place / "listener_gt.pt", weights_only=True)[0, 0, 0] == 1
    assert torch.load(place / "speaker_gt.pt", weights_only=True)[0, 0, 0] == 2
    # A second item of the same run joins the first.
    both = render(dataclasses.replace(asked, item=0, samples=[0]), rig)
    assert both["items"] == [0, 1]
    assert set(both["clips"]) == {"b1_ind1", "b2_ind2"}
    assert torch.load(place / "listener_gt.pt", weights_only=True)[:, 0, 0].tolist() == [2, 1]
    assert np.array_equal(torch.load(place / "listener_pred_3dmm.pt", weights_only=True)[1].numpy(), motion()[::-1])
    with pytest.raises(UsageError, match="holds 2 items"):
        render(dataclasses.replace(asked, item=2), rig)


def test_a_speakers_clip_is_shown_and_heard_in_the_reactions_time(order, tmp_path):
    times = [0, 0.02, 0.04, 0.12, 0.16]
    clip = write_stamped(tmp_path / "speaker.mp4", greys(5), times, sound=click(0.1, 0.05), sound_start=0.08)
    asked = dataclasses.replace(order, listener="", audio="", speaker=str(clip), samples=[0])
    report = render(asked, Capturing(encoder="FIT", device="cpu"))
    assert report["clips"]["b1_ind1"]["notes"] == []
    addresses = json.loads((Path(report["folder"]) / "b1_ind1.json").read_text())
    assert [int(place.rpartition("#")[2]) for place in addresses["sp_gt_frame_address"]] == [1, 2, 2, 3, 4]
    movie = Path(report["folder"]) / "b1_ind1.mp4"
    assert [which(frame[:, :32], 5) for _, frame in all_frames(movie)] == [1, 2, 2, 3, 4]
    sound = read_sound(movie)
    assert sound.start + onset(sound.samples, sound.rate) == pytest.approx(0.13, abs=0.004)


def test_samples_share_what_depends_on_the_listener_alone(rig, order, monkeypatch):
    prepared, captured = [], []
    prepare, capture = rig.painter.prepare, rig.capture
    monkeypatch.setattr(rig.painter, "prepare", lambda *args: prepared.append(len(args[0])) or prepare(*args))
    monkeypatch.setattr(rig, "capture", lambda *args: captured.append(1) or capture(*args))
    look = dataclasses.replace(LOOK, sampling=Sampling(respacing="ddim2", keep="all"))
    report = render(dataclasses.replace(order, look=look), rig)
    assert len(report["drawn"]) == SAMPLES
    assert (prepared, captured) == ([1], [1])


def test_anybodys_photograph_is_aligned_by_itself_and_an_album_lends(reference_checkpoint, checkpoint, order, tmp_path, capsys):
    """The reference condition, a photograph that shows more than a face, and a further photograph of the person."""
    from diffusionrig.io.images import png_bytes
    from diffusionrig.io.record import Record
    from diffusionrig.io.store import StoreWriter

    portrait = np.asarray(Image.open("diffusionrig/assets/portrait.jpg").convert("RGB").resize((256, 256)))
    whole = np.full((420, 600, 3), 120, np.uint8)
    whole[80:336, 200:456] = portrait
    Image.fromarray(whole).save(tmp_path / "whole.png")
    capturing = Capturing(encoder="FIT", device="cpu", size=64)
    seen = capturing.capture(portrait)
    with StoreWriter(tmp_path / "store", {"image_size": 64, "head": capturing.head.name, "head_hash": capturing.head.hash,
                                          "encoder": "FIT"}) as store:
        code = seen.code.replace(expression=seen.code.expression + 0.3)
        store.append([Record("other.png", png_bytes(portrait[::4, ::4].copy()), code_arrays(code))])
    words = ["react", "render", order.prediction, "--output_dir", str(tmp_path / "out"), "--listener", str(tmp_path / "whole.png"),
             "--model_path", str(reference_checkpoint), "--use_model", "FIT", "--album", str(tmp_path / "store"), "--frames", "2",
             "--k", "0", "--panel", "32", "--columns", "photo", "--neutral", "none", "--device", "cpu"]
    assert main(words) == 0
    place = tmp_path / "out" / "p_3dmm" / "version_0" / "val" / "only_submit_video"
    assert movie_info(place / "b1_ind1.mp4").width == 32
    report = json.loads((place / "report.json").read_text())
    assert report["clips"]["b1_ind1"]["request"]["album"] == str(tmp_path / "store")
    for aligned in (False, True):
        image = find_listener(str(tmp_path / "whole.png"), capturing, aligned=aligned).image
        assert is_aligned(find_faces(image, make_finder())[0], image.shape) is not aligned
    words[words.index("--model_path") + 1] = str(checkpoint)
    assert main(words) == 2
    assert "--album lends photographs to models of the reference condition" in capsys.readouterr().err


def test_frames_for_fid_come_without_a_video(order, tmp_path):
    report = render(dataclasses.replace(order, purpose="render_for_fid", listener="", samples=[0], reading=Reading(frames=2)),
                    Capturing(encoder="FIT", device="cpu"))
    names = {path.name for path in Path(report["folder"]).iterdir()}
    assert Path(report["folder"]).name == "render_for_fid"
    assert names == {"report.json", "metrics.txt", "listener_pred_3dmm.pt", "listener_pred_emotion.pt", "b1_ind1.json",
                     "mesh_video_b1_ind1"}
    assert report["clips"]["b1_ind1"]["frames"] == 2


def test_listeners_come_from_stores_too(rig, tmp_path):
    from diffusionrig.io.images import png_bytes
    from diffusionrig.io.record import Record
    from diffusionrig.io.store import StoreWriter

    with StoreWriter(tmp_path / "store", {"image_size": 48, "head": rig.head.name, "head_hash": rig.head.hash,
                                          "encoder": "SEED"}) as store:
        store.append([Record(f"{seed}.png", png_bytes(photo(seed)), code_arrays(face_code(seed))) for seed in (7, 8)])
    listener = find_listener(str(tmp_path / "store"), rig, 1)
    torch.testing.assert_close(listener.code.expression, face_code(8).expression)
    assert np.array_equal(listener.image, photo(8))
    with pytest.raises(UsageError, match="holds 2 faces; --listener_record 2"):
        find_listener(str(tmp_path / "store"), rig, 2)


def test_a_listener_without_a_face_is_looked_for_and_then_refused(rig, tmp_path):
    (tmp_path / "clip").mkdir()
    for number, seed in enumerate((255, 4)):
        Image.fromarray(photo(seed)).save(tmp_path / "clip" / f"{number}.png")
    found = find_listener(str(tmp_path / "clip"), rig)
    assert found.name.endswith("clip#1")
    Image.fromarray(photo(255)).save(tmp_path / "none.png")
    with pytest.raises(RigError, match=r"No face of the listener was found in .*none\.png"):
        find_listener(str(tmp_path / "none.png"), rig)


def test_live_frames_are_those_of_a_clip_and_the_listener_is_prepared_once(rig, order, tmp_path, monkeypatch):
    sampling, prepared = Sampling(respacing="ddim2", keep="all"), []
    prepare = rig.painter.prepare
    monkeypatch.setattr(rig.painter, "prepare", lambda *args: prepared.append(len(args[0])) or prepare(*args))
    listener = find_listener(order.listener, rig)
    mean, rows = motion()[0, 0], motion()[0, :4]
    show = LiveFrames(tmp_path / "live", rig, listener, mean, sampling, patient=True)
    for first in (0, 2):
        show(first, rows[first:first + 2])
    assert show.finish().drawn == 4
    assert prepared == [1]
    code, centre = reaction_codes(rows, neutral_of("mean", rows, mean), listener.code, listener.centre, rig.head)
    wanted = dict(draw_clip(rig, listener.analysis, code, centre, range(4), sampling, 4))
    assert len({image.tobytes() for image in wanted.values()}) == 4
    for frame, image in wanted.items():
        drawn = np.asarray(Image.open(tmp_path / "live" / f"frame_{frame}.png")).astype(int)
        assert np.abs(drawn - image).max() <= 1
    assert read_provenance(tmp_path / "live" / "frame_3.png")["frame"] == 3
    calm = LiveFrames(tmp_path / "calm", rig, listener, mean, sampling, patient=True, smoothing=Smoothing(0.5))
    for first in (0, 2):
        calm(first, rows[first:first + 2])
    calm.finish()
    code, centre = reaction_codes(one_euro(rows, 25, Smoothing(0.5)), neutral_of("mean", rows, mean), listener.code,
                                  listener.centre, rig.head)
    (_, wanted_last), = draw_clip(rig, listener.analysis, code, centre, [3], sampling, 1)
    drawn = np.asarray(Image.open(tmp_path / "calm" / "frame_3.png")).astype(int)
    assert np.abs(drawn - wanted_last).max() <= 1
    assert np.abs(drawn - wanted[3]).max() > 1
    with pytest.raises(UsageError, match="holds pictures already"):
        LiveFrames(tmp_path / "live", rig, listener, mean, sampling)


def test_two_runs_in_one_folder(rig, order, tmp_path):
    place = tmp_path / "out" / "p_3dmm" / "version_0" / "val" / "only_submit_video"
    with folder_lock(place, "react render"), pytest.raises(RigError, match="only_submit_video is in use by process"):
        render(order, rig)
    assert not (tmp_path / "out").exists()


def test_misuse_is_one_sentence(rig, order, tmp_path):
    for changes, sentence in (({"samples": [2]}, r"holds K=2 samples; --k 2"), ({"listener": ""}, "No --listener was given"),
                              ({"version": "../x"}, "cannot be the name of a folder"), ({"data": str(tmp_path)}, "needs --item"),
                              ({"reading": Reading(neutral="mean")}, "needs the corpus's mean face")):
        with pytest.raises(UsageError, match=sentence):
            render(dataclasses.replace(order, **changes), rig)
    assert not (tmp_path / "x").exists()


def test_the_command_draws_meshes_without_a_model_and_survives_a_kill(order, tmp_path, capsys):
    words = ["react", "render", order.prediction, "--mesh_only", "True", "--output_dir", str(tmp_path / "cli"), "--k", "0",
             "--panel", "24", "--device", "cpu", "--neutral", "none", "--smooth", "2", "--fps", "12.5"]
    code = ("import os, sys\nfrom diffusionrig.reactions.frames import drawing\nfrom diffusionrig.io import images\n"
            "write, count = images.write_png, [0]\n"
            "def dying(*args):\n    write(*args)\n    count[0] += 1\n    if count[0] == 3: os._exit(9)\n"
            "drawing.write_png = dying\nfrom diffusionrig.cli import main\nsys.exit(main(sys.argv[1:]))")
    process = Warm(code, words)
    process.communicate()
    assert process.returncode == 9
    folder = tmp_path / "cli" / "p_3dmm" / "version_0" / "val" / "only_submit_video"
    meshes = folder / "mesh_video_b1_ind1"
    before = {path.name: path.stat().st_mtime_ns for path in meshes.glob("*.png")}
    assert len(before) == 3
    assert main(words) == 0
    assert len(list(meshes.glob("*.png"))) == FRAMES
    assert {name: (meshes / name).stat().st_mtime_ns for name in before} == before
    assert movie_info(folder / "b1_ind1.mp4").fps == 12.5
    assert f"b1_ind1: {FRAMES} frames" in capsys.readouterr().out
    assert main([*words[:-2], "--fps", "0"]) == 2
    assert "--fps 0 is not above zero" in capsys.readouterr().err
