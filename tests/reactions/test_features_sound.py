"""Features of sound: Kaldi's cepstra, another rate, openSMILE and wav2vec2 (their packages played by fakes)."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from reaction_corpora import copied, written
from stamped_clips import click, greys, onset, which, write_stamped

from diffusionrig.errors import RigError
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.features.clip_data import ClipData
from diffusionrig.reactions.features.hearing import LogMel, Mfcc
from diffusionrig.reactions.features.logmel import log_mel
from diffusionrig.reactions.features.mfcc import differences, frame_mfcc, frame_width, mfcc
from diffusionrig.reactions.features.pretrained import VideoMae, Wav2Vec2
from diffusionrig.reactions.features.resampling import resample
from diffusionrig.reactions.features.smile import ComParE


def signal(rate: int, count: int) -> np.ndarray:
    t = np.arange(count) / rate
    return (0.3 * np.sin(2 * np.pi * 220 * t) + 0.2 * np.sin(2 * np.pi * 1330 * t + 1) * np.sin(2 * np.pi * 3 * t)
            + 0.05 * np.sin(2 * np.pi * 5000 * t * t * 8)).astype(np.float32)


# By kaldi-native-fbank 1.23.0 (an implementation in C++ of its own): OnlineMfcc with dither 0, use_energy, energy_floor 1.
KALDI = {
    44100: [[3.9755, 90.6081, 36.4581, -46.412, -49.1389, 21.1955, 64.6016, 37.6511, -4.3949, -8.8833, 7.5857, 9.0676, -2.5606],
            [4.0148, 84.1766, -13.1286, -71.5055, 18.0445, 104.6294, 69.2787, 13.318, 22.2328, 26.3596, -17.8791, -46.0146,
             -26.2167]],
    16000: [[2.9617, 82.2414, -36.6236, -51.9511, 45.6364, 37.28, -25.3697, -13.9158, -1.8725, -23.5693, -25.1778, -24.4716,
             -35.7023],
            [3.001, 54.639, -80.3747, 32.6822, 104.7741, 8.9115, 15.9938, -12.0171, -74.2473, -34.4435, -20.0072, -38.2747,
             -30.5038]]}


@pytest.mark.parametrize("rate", sorted(KALDI))
def test_cepstra_are_those_of_kaldi(rate: int) -> None:
    found = mfcc(signal(rate, rate // 25), rate)
    np.testing.assert_allclose(found, KALDI[rate], atol=5e-4)
    # Quieter sound: the floor under the energy, and the band energies' own.
    quiet = mfcc(0.01 * signal(rate, rate // 25), rate)
    assert (quiet[:, 0] == 0).all()
    np.testing.assert_allclose(quiet[:, 1], {44100: [40.4435, 34.7032], 16000: [34.0452, 18.1218]}[rate], atol=5e-4)


def test_a_frame_has_78_numbers_of_its_own_sound() -> None:
    sound = signal(44100, 5 * 1764)
    rows = frame_mfcc(sound, 44100, 25.0, 5)
    assert rows.shape == (5, 78)
    assert rows.dtype == np.float32
    base = mfcc(sound[3 * 1764:4 * 1764], 44100).T  # (13, 2)
    np.testing.assert_allclose(rows[3, :26].reshape(13, 2), base, rtol=1e-5, atol=1e-4)
    # Of two values a, b with their ends repeated: (1 (b - a) + 2 (b - a)) / 10 at both places; then no difference is left.
    np.testing.assert_allclose(rows[3, 26:52].reshape(13, 2), np.repeat(0.3 * np.diff(base, axis=1), 2, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(rows[3, 52:], 0, atol=1e-4)
    changed = sound.copy()
    changed[4 * 1764:] = 0
    np.testing.assert_array_equal(frame_mfcc(changed, 44100, 25.0, 5)[:4], rows[:4])
    assert frame_width(44100, 30.0) == 39
    assert np.isfinite(frame_mfcc(sound[:2000], 44100, 25.0, 5)).all()
    with pytest.raises(RigError, match="At 60 frames a second no window"):
        frame_mfcc(sound, 44100, 60.0, 2)


def test_differences_are_the_slope_of_a_line() -> None:
    np.testing.assert_allclose(differences(3.0 * np.arange(9.0))[2:-2], 3.0)


@pytest.mark.parametrize("rate", [44100, 48000, 8000])
def test_another_rate_keeps_tones_and_drops_what_it_cannot_hold(rate: int) -> None:
    t = np.arange(rate // 4) / rate
    tone = np.sin(2 * np.pi * 440 * t + 0.3)
    heard = resample(tone + (np.sin(2 * np.pi * 12000 * t) if rate > 24000 else 0), rate, 16000)
    assert heard.shape == (4000,)
    expected = np.sin(2 * np.pi * 440 * np.arange(4000) / 16000 + 0.3)
    np.testing.assert_allclose(heard[200:-200], expected[200:-200], atol=1e-3)
    np.testing.assert_array_equal(resample(tone, 16000, 16000), tone.astype(np.float32))


@pytest.fixture
def clip() -> ClipData:
    split = Corpus.open(written(), 10).split("val")
    return ClipData(split, split.items[0].speaker)


def test_the_sound_of_a_clip_lasts_as_long_as_its_frames(clip: ClipData) -> None:
    samples, rate = clip.sound
    assert (len(samples), rate) == (10 * 1764, 44100)
    given, own = clip.split.audio(clip.clip)
    assert own == 16000
    np.testing.assert_allclose(samples, resample(given, own, 44100), atol=1e-7)
    samples, rate = ClipData(clip.split, clip.clip, own).sound
    assert rate == own
    np.testing.assert_array_equal(samples, given)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_same_sound_is_heard_alike_from_files_of_any_rate(rate: int, clip: ClipData, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(10 * rate // 25) / rate)
    monkeypatch.setattr(type(clip.split), "audio", lambda self, which: (tone.astype(np.float32), rate))
    heard = {name: made for feature in (LogMel(), Mfcc()) for name, made in feature.extract(clip).items()}
    exact = 0.5 * np.sin(2 * np.pi * 440 * np.arange(10 * 1764) / 44100)
    np.testing.assert_allclose(clip.sound[0][500:-500], exact[500:-500], atol=1e-3)
    assert {name: made.shape for name, made in heard.items()} == {"s_MFCC": (10, 26), "s_mfcc78": (10, 78)}
    loudest = heard["s_MFCC"][2:-2].max(1)
    np.testing.assert_allclose(loudest, log_mel(exact, 44100)[2:-2].max(1), atol=0.02)


def test_sound_stays_within_its_range_at_another_rate(clip: ClipData, monkeypatch: pytest.MonkeyPatch) -> None:
    square = np.sign(np.sin(2 * np.pi * 440 * np.arange(6400) / 16000) + 1e-9).astype(np.float32)
    monkeypatch.setattr(type(clip.split), "audio", lambda self, which: (square, 16000))
    assert resample(square, 16000, 44100).max() > 1.01  # the filter rings
    assert np.abs(clip.sound[0]).max() == 1


def test_pictures_and_sound_of_a_video_of_another_rate_stand_at_the_corpuss_times(tmp_path: Path) -> None:
    root = copied(tmp_path / "corpus")
    split = Corpus.open(root, 25).split("val")
    clip = split.items[0].speaker
    split.path("audio", clip).unlink()
    video = split.path("video", clip).with_name(split.path("video", clip).name + ".mp4")
    video.parent.mkdir(parents=True)
    write_stamped(video, greys(30), list(np.arange(30) / 30), rate=30, sound=click(0.8, 0.3), sound_start=0.2)
    data = ClipData(split, clip)
    assert [which(frame, 30) for frame in data.frames()] == [int((step + 0.5) / 25 * 30) for step in range(25)]
    samples, rate = data.sound
    assert len(samples) == rate
    assert onset(samples[:, None], rate) == pytest.approx(0.5, abs=0.004)
    # Sound that ends too early is another matter than sound that begins late.
    write_stamped(video, greys(30), list(np.arange(30) / 30), rate=30, sound=click(0.5, 0.3), sound_start=0.2)
    with pytest.raises(RigError, match=r"ends at 0\.7\d s, but 25 frames take 1\.00 s"):
        ClipData(split, clip).sound  # noqa: B018


class FakeSmile:
    """Stands for opensmile.Smile: arrays of its shapes, whose numbers tell what it was given."""

    def __init__(self, feature_set: str, feature_level: str) -> None:
        assert feature_set == "ComParE_2016"
        self.level = feature_level

    def process_signal(self, samples: np.ndarray, rate: int) -> np.ndarray:
        if self.level == "functionals":
            return np.full((1, 6373), samples.mean())
        return np.tile(np.arange(len(samples) * 100 // rate - 4)[:, None], (1, 65))


def test_compare_by_a_fake_of_its_package(clip: ClipData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    assert 'opensmile cannot be imported' in ComParE().missing()
    assert 'pip install "diffusionrig[audio]"' in ComParE().missing()
    fake = types.SimpleNamespace(Smile=FakeSmile, FeatureSet=types.SimpleNamespace(ComParE_2016="ComParE_2016"),
                                 FeatureLevel=types.SimpleNamespace(Functionals="functionals", LowLevelDescriptors="lld"))
    monkeypatch.setitem(sys.modules, "opensmile", fake)
    assert ComParE().missing() == ""
    made = ComParE().extract(clip)
    assert {key: values.shape for key, values in made.items()} == {"s_GeMapfunc": (6373,), "s_GeMaplld": (36, 65)}
    np.testing.assert_allclose(made["s_GeMapfunc"], clip.sound[0].mean(), rtol=1e-5)
    monkeypatch.setattr(FakeSmile, "process_signal", lambda self, samples, rate: np.zeros((1, 88)))
    with pytest.raises(RigError, match=r"openSMILE gave arrays \(1, 88\)"):
        ComParE().extract(clip)


@pytest.fixture
def fake_smile(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What was handed to it, as openSMILE turns it into 16 bits."""
    given: list[np.ndarray] = []

    def process(self: FakeSmile, samples: np.ndarray, rate: int) -> np.ndarray:
        given.append((samples.astype(np.float32) * 32768).astype(np.int32).astype(np.int16))
        return np.zeros((1, 6373) if self.level == "functionals" else (3, 65))

    fake = types.SimpleNamespace(Smile=FakeSmile, FeatureSet=types.SimpleNamespace(ComParE_2016="ComParE_2016"),
                                 FeatureLevel=types.SimpleNamespace(Functionals="functionals", LowLevelDescriptors="lld"))
    monkeypatch.setitem(sys.modules, "opensmile", fake)
    monkeypatch.setattr(FakeSmile, "process_signal", process)
    return given


def test_full_scale_is_not_turned_over_in_16_bits(clip: ClipData, fake_smile: list[np.ndarray]) -> None:
    samples = np.zeros(17640, np.float32)
    samples[100:103], samples[200] = 1.0, -1.0
    vars(clip)["sound"] = (samples, 44100)
    ComParE().extract(clip)
    assert fake_smile[0][[100, 102, 200]].tolist() == [32767, 32767, -32768]
    assert clip.notes == ["3 samples at full scale were clipped to 0.99997 for openSMILE, which would have made -1 of them."]
    vars(clip)["sound"], clip.notes[:] = (0.9 * samples, 44100), []
    ComParE().extract(clip)
    assert clip.notes == []


def test_less_sound_than_a_window_is_refused_by_name(clip: ClipData, fake_smile: list[np.ndarray]) -> None:
    vars(clip)["sound"] = (np.zeros(1764, np.float32), 44100)
    with pytest.raises(RigError, match=f"{clip.clip} has 40 ms of sound, but ComParE's windows are 60 ms long"):
        ComParE().extract(clip)
    assert not fake_smile
    vars(clip)["sound"] = (np.zeros(2646, np.float32), 44100)
    assert ComParE().extract(clip)["s_GeMapfunc"].shape == (6373,)


class FakeSpeech(torch.nn.Module):
    """Stands for transformers' Wav2Vec2Model: strides and receptive field of its convolutions, but a mean in their place."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_projection = torch.nn.Module()
        self.feature_projection.layer_norm = torch.nn.Identity()

    def feature_extractor(self, samples: torch.Tensor) -> torch.Tensor:
        return samples.unfold(1, 400, 320).mean(-1)[:, None].expand(-1, 512, -1)


class FakeVideo(torch.nn.Module):
    """Stands for transformers' VideoMAEModel: 16 frames of 32 pixels; two tokens that are the mean of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.config = types.SimpleNamespace(image_size=32, num_frames=16)

    def forward(self, pixel_values: torch.Tensor) -> types.SimpleNamespace:
        assert pixel_values.shape == (1, 16, 3, 32, 32)
        return types.SimpleNamespace(last_hidden_state=pixel_values.mean((1, 3, 4))[:, None].expand(-1, 2, -1))


@pytest.fixture
def fake_transformers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    def loader(made: type) -> types.SimpleNamespace:
        def from_pretrained(folder: str, local_files_only: bool, use_safetensors: bool) -> torch.nn.Module:
            assert local_files_only
            assert use_safetensors
            if "broken" in json.loads((Path(folder) / "config.json").read_text()):
                raise OSError("no file named model.safetensors. See the manual.")
            return made()
        return types.SimpleNamespace(from_pretrained=from_pretrained)

    monkeypatch.setitem(sys.modules, "transformers",
                        types.SimpleNamespace(Wav2Vec2Model=loader(FakeSpeech), VideoMAEModel=loader(FakeVideo)))
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_wav2vec2_lies_on_the_frames_by_a_fake_of_its_network(clip: ClipData, fake_transformers: Path) -> None:
    rows = Wav2Vec2(str(fake_transformers), "cpu").extract(clip)["s_wav2vec2"]
    assert rows.shape == (20, 512)
    assert (rows[0] == 0).all()
    samples = resample(*clip.sound, 16000).astype(np.float64)
    scaled = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    # Row r sees the samples from 320 (r - 1) on: the last row ends within the clip.
    np.testing.assert_allclose(rows[1:, 7], [scaled[320 * r:320 * r + 400].mean() for r in range(19)], atol=1e-5)


def test_videomae_has_a_row_for_five_frames_by_a_fake_of_its_network(clip: ClipData, fake_transformers: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [np.full((20, 30, 3), 20 * t, np.uint8) for t in range(12)]
    monkeypatch.setattr(ClipData, "frames", lambda self: iter(shown))
    rows = VideoMae(str(fake_transformers), "cpu").extract(clip)["s_pose"]
    assert rows.shape == (2, 3)  # frames 10 and 11 make no window
    parts = np.bincount((np.arange(16) * 5) // 16)
    brightness = [(parts * 20 * (start + np.arange(5))).sum() / 16 / 255 for start in (0, 5)]
    np.testing.assert_allclose(rows[:, 0], (np.array(brightness) - 0.485) / 0.229, atol=1e-4)


def test_weights_that_are_not_there_are_one_sentence(clip: ClipData, fake_transformers: Path, tmp_path: Path,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    assert Wav2Vec2(str(fake_transformers), "cpu").missing() == ""
    assert "no weights were given; name the folder of a Wav2Vec2Model with --wav2vec2" in Wav2Vec2("", "cpu").missing()
    assert "none holds no config.json" in VideoMae(str(tmp_path / "none"), "cpu").missing()
    (tmp_path / "config.json").write_text('{"broken": 1}')
    with pytest.raises(RigError, match=r"holds no Wav2Vec2Model in safetensors .*no file named model.safetensors\); download"):
        Wav2Vec2(str(tmp_path), "cpu").extract(clip)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert 'pip install "diffusionrig[wav2vec]"' in Wav2Vec2(str(tmp_path), "cpu").missing()
