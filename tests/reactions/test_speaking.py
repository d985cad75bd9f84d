"""Anybody's clip as a generator sees and hears it, and the generator that is shipped."""

import numpy as np
import pytest

from diffusionrig.errors import UsageError
from diffusionrig.io.assets import asset_path
from diffusionrig.io.sound import Sound
from diffusionrig.reactions import speaking
from diffusionrig.reactions.features.attribute_rule import arkit_rule
from diffusionrig.reactions.frames.codes import ANGLES, EXPRESSION, TRANSLATION
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.speaking import heard_speaker, load_listener, speaker_clip

REST = np.linspace(0, 3, 58)


def rows(frames=24):
    dice = np.random.default_rng(0)
    values = dice.uniform(0, 0.3, (frames, 58))
    values[:, ANGLES] += [np.pi, 0.4, -0.1]
    values[:, TRANSLATION] += [3.0, -2.0, 5.0]
    return values


def test_where_a_stranger_sits_and_looks_means_nothing():
    one = rows()
    other = np.array(one)
    other[:, ANGLES] += [0.1, -0.3, 0.2]
    other[:, TRANSLATION] += np.linspace(0, 9, len(one))[:, None]
    first, second = (speaker_clip("x", values, {}, REST) for values in (one, other))
    assert np.allclose(first.coefficients, second.coefficients, atol=1e-6)
    assert np.allclose(np.median(first.coefficients[:, ANGLES], axis=0), REST[ANGLES], atol=1e-6)
    assert np.allclose(first.coefficients[:, TRANSLATION], REST[TRANSLATION])
    # What the head does is kept, and so is what the face does.
    assert np.allclose(np.diff(first.coefficients[:, ANGLES], axis=0), np.diff(one[:, ANGLES], axis=0), atol=1e-6)
    assert np.allclose(first.coefficients[:, EXPRESSION], one[:, EXPRESSION], atol=1e-6)
    assert np.array_equal(first.emotion, arkit_rule(one))


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_sound_is_heard_at_one_rate_whatever_its_own(rate):
    time = np.arange(2 * rate) / rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    heard = heard_speaker(Sound(np.stack([tone, tone], 1), rate), 50, 25.0)[AUDIO]
    assert heard.shape == (50, 26)
    known = heard_speaker(Sound(tone[:, None], rate), 50, 25.0)[AUDIO]
    assert np.allclose(heard, known, atol=1e-3)
    plain = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    at_sixteen = heard_speaker(Sound(plain.astype(np.float32)[:, None], 16000), 50, 25.0)[AUDIO]
    loud = at_sixteen[25].argmax()
    assert abs(heard[25, loud] - at_sixteen[25, loud]) < 0.1
    assert heard_speaker(None, 50, 25.0) == {}


def test_the_shipped_generator_answers_anybody_the_same_way_each_time():
    generator = load_listener(str(asset_path("react/listener.safetensors")), "cpu")
    speaker = speaker_clip("x", rows(), heard_speaker(None, 24, 25.0), generator.face_at_rest())
    made, again, other = (generator.generate(speaker, None, 2, seed, "online").coefficients for seed in (0, 0, 1))
    assert made.shape == (2, 24, 58)
    assert np.isfinite(made).all()
    assert np.array_equal(made, again)
    assert np.abs(made - other).max() > 0.01
    assert np.abs(made[0] - made[1]).max() > 0.01
    # Reactions stay near where the corpus has its faces, whoever speaks.
    assert np.abs(made[..., ANGLES] - generator.face_at_rest()[ANGLES]).max() < 0.6


def test_a_generator_that_says_nothing_of_rest_is_refused(monkeypatch):
    class Silent:
        name = "silent"

    monkeypatch.setattr(speaking, "load_generator", lambda path, device: Silent())
    with pytest.raises(UsageError, match="silent does not say where its corpus has a face at rest"):
        load_listener("x", "cpu")
