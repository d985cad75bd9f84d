"""``react render``: what the flags name is what is shown, heard and reported."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import SeedEncoder, photo
from stamped_clips import click, greys, onset, which, write_stamped

from diffusionrig.cli import main
from diffusionrig.editing import capturing as capturing_module
from diffusionrig.editing import rig as rig_module
from diffusionrig.editing.clip_drawing import draw_clip
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.smoothing import Smoothing, one_euro
from diffusionrig.geometry.heads import DEFAULT_HEAD
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint
from diffusionrig.io.images import read_image
from diffusionrig.io.movies import movie_info
from diffusionrig.io.sound import read_sound
from diffusionrig.io.video import all_frames
from diffusionrig.io.wav import write_wav
from diffusionrig.reactions.frames.codes import neutral_of, reaction_codes
from diffusionrig.reactions.frames.listener import find_listener

CONSENT = "Ada agreed on 3 May"
FRAMES, PANEL, SEED = 5, 24, 7


def motion() -> np.ndarray:
    rows = np.zeros((2, FRAMES, 58), np.float32)
    rows[..., 52], rows[..., 57] = math.pi, 1.8
    rows[0, :, 24] = np.linspace(0, 0.6, FRAMES)
    rows[1, :, 53] = np.linspace(0, 0.3, FRAMES)
    return rows


@pytest.fixture(scope="module")
def rendered(tmp_path_factory, checkpoint):
    """One run: the speaker's video clicks at .02 s, the sound that is named besides at .1 s."""
    root = tmp_path_factory.mktemp("render")
    tensors, meta = load_checkpoint(checkpoint)
    save_checkpoint(root / "ada.safetensors", tensors, {**meta, "stage": 2, "consent": CONSENT})
    np.save(root / "p_3dmm.npy", motion())
    Image.fromarray(photo(1)).save(root / "ada.png")
    write_stamped(root / "speaker.mp4", greys(FRAMES), [number / 12.5 for number in range(FRAMES)], sound=click(0.4, 0.02))
    write_wav(root / "voice.wav", np.rint(32767 * click(0.4, 0.1)[:, None]).astype(np.int16), 48000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capturing_module, "make_encoder", lambda name, head, device, options: SeedEncoder())
        for module in (capturing_module, rig_module):
            patch.setattr(module, "best_encoder", lambda head="": "SEED")
        patch.setattr(rig_module, "usual_head", lambda name: DEFAULT_HEAD)
        assert main(["react", "render", str(root / "p_3dmm.npy"), "--output_dir", str(root / "out"), "--listener",
                     str(root / "ada.png"), "--model_path", str(root / "ada.safetensors"), "--speaker", str(root / "speaker.mp4"),
                     "--audio", str(root / "voice.wav"), "--run", "evening", "--version", "version_3", "--split", "test", "--k",
                     "1", "--panel", str(PANEL), "--smooth", "2", "--smooth_beta", "0.5", "--neutral", "none", "--rest", "photo",
                     "--fps", "12.5", "--seed", str(SEED), "--timestep_respacing", "ddim2", "--precision", "fp32", "--device",
                     "cpu"]) == 0
        rig = rig_module.Rig.from_pretrained(root / "ada.safetensors", device="cpu", precision="fp32")
        listener = find_listener(str(root / "ada.png"), rig)
    folder = root / "out" / "evening" / "version_3" / "test" / "only_submit_video"
    return root, folder, json.loads((folder / "report.json").read_text()), rig, listener


def test_the_speaker_is_shown_and_the_named_sound_heard(rendered):
    root, folder, report, _, _ = rendered
    assert [path.name for path in folder.glob("*.mp4")] == ["b1_ind2.mp4"]
    movie = folder / "b1_ind2.mp4"
    addresses = json.loads((folder / "b1_ind2.json").read_text())["sp_gt_frame_address"]
    assert addresses == [f"{root / 'speaker.mp4'}#{number}" for number in range(FRAMES)]
    assert [which(frame[:, :PANEL], FRAMES) for _, frame in all_frames(movie)] == list(range(FRAMES))
    assert (movie_info(movie).fps, movie_info(movie).width) == (12.5, 3 * PANEL)
    sound = read_sound(movie)
    assert sound.start + onset(sound.samples, sound.rate) == pytest.approx(0.1, abs=0.004)
    assert report["clips"]["b1_ind2"]["columns"] == ["speaker", "mesh", "photo"]


def test_the_report_and_the_frames_say_by_whom_and_how(rendered):
    root, folder, report, rig, _ = rendered
    assert report["model"] == {"hash": rig.pretrained.hash, "head": rig.pretrained.head, "consent": CONSENT}
    clip = report["clips"]["b1_ind2"]
    assert {key: clip[key] for key in ("item", "sample", "prediction", "listener", "fps")} == {
        "item": 0, "sample": 1, "prediction": str(root / "p_3dmm.npy"), "listener": str(root / "ada.png"), "fps": 12.5}
    assert (clip["request"]["neutral"], clip["request"]["rest"]) == ("none", "photo")
    assert clip["request"]["smoothing"] == dataclasses.asdict(Smoothing(2, 0.5))
    record = read_provenance(folder / "fake_video_b1_ind2" / "frame_3.png")
    assert {key: record[key] for key in ("model", "mode", "seed", "frame", "intact")} == {
        "model": rig.pretrained.hash, "mode": "reaction", "seed": SEED, "frame": 3, "intact": True}
    assert read_provenance(folder / "b1_ind2.mp4")["model"] == rig.pretrained.hash


def test_frames_are_those_of_the_motion_that_was_asked_for(rendered):
    _, folder, _, rig, listener = rendered
    rows = one_euro(motion()[1], 12.5, Smoothing(2, 0.5))
    neutral = neutral_of("none", motion(), None)
    code, centre = reaction_codes(rows, neutral, listener.code, listener.centre, rig.head, "photo")
    drawn = dict(draw_clip(rig, listener.analysis, code, centre, [0, 4], Sampling(respacing="ddim2", seed=SEED), 2))
    assert not np.array_equal(drawn[0], drawn[4])
    for frame, image in drawn.items():
        shown = read_image(Path(folder) / "fake_video_b1_ind2" / f"frame_{frame}.png").astype(int)
        assert np.abs(shown - image).max() <= 1
    tensors = torch.load(folder / "listener_pred_3dmm.pt", weights_only=True)
    assert np.array_equal(tensors[0].numpy(), motion())
