import numpy as np
import pytest

from diffusionrig.errors import UsageError
from diffusionrig.reactions.baselines.choosing import PREDICTORS, REFERENCES, make_predictor
from diffusionrig.reactions.interface import SpeakerClip


def clip_of(split, index):
    speaker = split.items[index].speaker
    return SpeakerClip(str(speaker), split.emotion(speaker), split.coefficients(speaker))


@pytest.mark.parametrize("name", [*PREDICTORS, *REFERENCES])
def test_a_predictor_is_a_function_of_its_arguments(corpus, name):
    split = corpus.split("val")
    predictor = make_predictor(name, corpus, split)
    assert predictor.name == name
    first = predictor.generate(clip_of(split, 3), None, 3, 7, "offline")
    predictor.generate(clip_of(split, 1), None, 2, 8, "offline")
    again = make_predictor(name, corpus, split).generate(clip_of(split, 3), None, 3, 7, "offline")
    assert first.emotion.shape == (3, split.length, 25)
    assert first.emotion.dtype == np.float32
    np.testing.assert_array_equal(first.emotion, again.emotion)
    if name != "random":
        assert first.coefficients.shape == (3, split.length, 58)


@pytest.mark.parametrize("name", PREDICTORS)
def test_online_no_frame_depends_on_what_comes_later(corpus, name):
    split = corpus.split("val")
    predictor, clip, now = make_predictor(name, corpus, split), clip_of(split, 0), 53
    other = SpeakerClip(clip.name, clip.emotion.copy(), clip.coefficients.copy())
    other.emotion[now:], other.coefficients[now:] = 1 - other.emotion[now:], 0.5
    before, after = (predictor.generate(one, None, 2, 0, "online") for one in (clip, other))
    np.testing.assert_array_equal(before.emotion[:, :now + 1], after.emotion[:, :now + 1])
    if name in {"mime", "nearest"}:
        assert (before.emotion != after.emotion).any()
    if before.coefficients is not None:
        np.testing.assert_array_equal(before.coefficients[:, :now + 1], after.coefficients[:, :now + 1])


def test_mime_shows_the_speaker_later(corpus):
    split = corpus.split("val")
    clip = clip_of(split, 0)
    made = make_predictor("mime", corpus, split, lag=4).generate(clip, None, 2, 0, "offline")
    np.testing.assert_array_equal(made.emotion[1, 4:], clip.emotion[:-4])
    np.testing.assert_array_equal(made.coefficients[0, 4:], clip.coefficients[:-4])


def test_means_are_those_of_the_training_listeners(corpus):
    train, val = corpus.split("train"), corpus.split("val")
    listeners = np.stack([train.emotion(item.listener) for item in train.items]).astype(np.float64)
    sequence = make_predictor("mean_sequence", corpus, val).generate(clip_of(val, 0), None, 1, 0, "offline")
    frame = make_predictor("mean_frame", corpus, val).generate(clip_of(val, 0), None, 1, 0, "offline")
    np.testing.assert_allclose(sequence.emotion[0], listeners.mean(0), atol=1e-6)
    np.testing.assert_allclose(frame.emotion[0], np.tile(listeners.mean((0, 1)), (val.length, 1)), atol=1e-6)


def test_nearest_shows_the_listener_of_the_most_similar_speaker(corpus):
    train, val = corpus.split("train"), corpus.split("val")
    shown = [train.items[m] for m in (5, 2)]
    predictor = make_predictor("nearest", corpus, val)
    for item in shown:
        asked = SpeakerClip("somebody else", train.emotion(item.speaker))
        made = predictor.generate(asked, None, 2, 0, "offline")
        np.testing.assert_array_equal(made.emotion[0], train.emotion(item.listener))
        # Asked about a training clip itself, it must not answer with what that very listener did.
        own = predictor.generate(SpeakerClip(str(item.speaker), asked.emotion), None, 1, 0, "offline")
        np.testing.assert_array_equal(own.emotion[0], made.emotion[1])


def test_references_show_who_suits_and_who_does_not(corpus):
    split = corpus.split("val")
    for name, suits in (("appropriate", True), ("inappropriate", False)):
        made = make_predictor(name, corpus, split).generate(clip_of(split, 2), None, 2, 0, "offline").emotion
        allowed = [split.emotion(item.listener) for item in split.items if split.matrix()[2, item.index] == suits]
        assert all(any((sample == one).all() for one in allowed) for sample in made)


def test_an_unknown_predictor_and_too_many_samples_are_misuse(corpus):
    split = corpus.split("val")
    with pytest.raises(UsageError, match="no predictor 'oracle'; choose from random, mime"):
        make_predictor("oracle", corpus, split)
    with pytest.raises(UsageError, match="16 training items, too few for the 16"):
        make_predictor("nearest", corpus, split).generate(clip_of(split, 0), None, 16, 0, "offline")
