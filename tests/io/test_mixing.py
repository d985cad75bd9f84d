"""What readers of sound promise: samples within -1..1 in one or two channels, whatever the file holds."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from diffusionrig.errors import RigError
from diffusionrig.io.mixing import stereo
from diffusionrig.io.sound import read_sound
from diffusionrig.io.wav import read_wav, wav_info

COUNT = 4800


def encoded(path: Path, samples: np.ndarray, layout: str, codec: str = "pcm_f32le", rate: int = 48000) -> Path:
    """Samples (n, channels) float32 as they are, by ``codec``."""
    kind = "flt" if codec.startswith("pcm") else "fltp"
    array = samples.reshape(1, -1) if kind == "flt" else samples.T
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(array, np.float32), format=kind, layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("2.1", 3), ("quad", 4), ("5.1", 6), ("7.1", 8)])
def test_channels_are_mixed_without_clipping(tmp_path: Path, layout: str, channels: int) -> None:
    loud = np.sin(np.arange(COUNT) * 0.05)[:, None].astype(np.float32) * np.full((1, channels), 0.8, np.float32)
    sound = read_sound(encoded(tmp_path / "a.wav", loud, layout))
    assert sound is not None
    assert sound.samples.shape == (COUNT, min(channels, 2))
    # In step, all channels together are as loud as one, and nothing of the wave is cut off.
    np.testing.assert_allclose(sound.samples, np.repeat(loud[:, :1], min(channels, 2), 1), atol=1e-6)


def test_each_channel_is_heard_on_its_side(tmp_path: Path) -> None:
    gains = []
    for channel in range(6):
        one = np.zeros((COUNT, 6), np.float32)
        one[:, channel] = 0.5
        sound = read_sound(encoded(tmp_path / "a.wav", one, "5.1"))
        assert sound is not None
        gains.append(sound.samples[100] / 0.5)
    full, half = 1 / (1 + 2**0.5), 0.5**0.5 / (1 + 2**0.5)
    np.testing.assert_allclose(gains, [[full, 0], [0, full], [half, half], [0, 0], [half, 0], [0, half]], atol=1e-6)


def test_channels_of_unknown_places_are_heard_on_both_sides(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(5)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.tile(np.array([10000, 0, 0, 0, 20000], "<i2"), (100, 1)).tobytes())
    sound = read_sound(tmp_path / "a.wav")
    assert sound is not None
    assert sound.samples.shape == (100, 2)
    assert 0 < sound.samples.max() <= 20000 / 32768
    np.testing.assert_allclose(stereo(np.array([[0.3, 0.6, 0.9]]), ["FL", "?", "FR"]), [[0.6, 0.6]], atol=1e-6)


@pytest.mark.parametrize(("layout", "channels"), [("stereo", 2), ("5.1", 6)])
def test_what_a_codec_puts_beyond_full_scale_is_cut_off(tmp_path: Path, layout: str, channels: int) -> None:
    square = np.sign(np.sin(np.arange(48000) * 0.05))[:, None].astype(np.float32) * np.ones((1, channels), np.float32)
    path = encoded(tmp_path / "a.m4a", square, layout, "aac")
    with av.open(str(path)) as container:
        raw = max(float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0))
    assert raw > 1.01  # as decoded
    sound = read_sound(path)
    assert sound is not None
    assert float(np.abs(sound.samples).max()) <= 1


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_whole_numbers_that_were_never_scaled_are_scaled(tmp_path: Path, channels: int) -> None:
    whole = np.rint(np.sin(np.arange(COUNT) * 0.05) * 8000)[:, None].astype(np.float32) * np.ones((1, channels), np.float32)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
    path = encoded(tmp_path / "a.wav", whole, layout, rate=16000)
    samples, rate = read_wav(path)
    assert rate == 16000
    np.testing.assert_allclose(samples, np.repeat(whole[:, :1], min(channels, 2), 1) / 32768, atol=1e-6)
    assert wav_info(path).samples == COUNT


def test_a_float_file_a_little_over_full_scale_is_cut_off_and_others_are_refused(tmp_path: Path) -> None:
    tone = np.sin(np.arange(COUNT) * 0.05)[:, None].astype(np.float32)
    samples, _ = read_wav(encoded(tmp_path / "a.wav", 1.5 * tone, "mono"))
    np.testing.assert_allclose(samples, np.clip(1.5 * tone, -1, 1), atol=1e-6)
    path = encoded(tmp_path / "b.wav", 8000.5 * tone, "mono")
    for read in (read_wav, wav_info, read_sound):
        with pytest.raises(RigError, match=r"b\.wav holds samples of up to 8000\.\d+, but .* within -1 and 1; scale them"):
            read(path)
    with pytest.raises(RigError, match="of up to 1e"):
        read_wav(encoded(tmp_path / "c.wav", np.rint(1e6 * tone), "mono"))
    broken = tone.copy()
    broken[7] = np.nan
    with pytest.raises(RigError, match=r"d\.wav holds samples that are not finite"):
        read_wav(encoded(tmp_path / "d.wav", broken, "mono"))
