"""Drawing words and filling clips with them."""

from __future__ import annotations

import pytest
import torch
from small_unifr import WORDS, inputs, small

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.unifr.decoding import (
    OnlineDecoder,
    decode_offline,
    decode_online,
    decode_online_anew,
    least_certain,
    masked_after,
)
from diffusionrig.reactions.generators.unifr.inputs import cut
from diffusionrig.reactions.generators.unifr.sampling import Decoding, Ramp, draw, filtered, uniforms


def test_words_left_masked_are_the_published_counts():
    assert [masked_after(step, 8, 2250) for step in range(1, 9)] == [2207, 2079, 1871, 1591, 1250, 861, 439, 0]


def test_exactly_so_many_words_stay_hidden_even_among_equals():
    certain = torch.tensor([[1.0, 1.0, 1.0, 1.0, torch.inf], [0.3, 0.1, 0.2, 0.1, torch.inf]])
    assert least_certain(certain, 2).tolist() == [[True, True, False, False, False], [False, True, False, True, False]]
    # The published rule reveals nothing where all draws are certain.
    assert least_certain(certain, 2, ties_hide=True)[0].tolist() == [True, True, True, True, False]
    assert not least_certain(certain, 0).any()


def one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_filters_keep_what_they_say_and_leave_logits_alone():
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log()
    before = logits.clone()
    assert torch.allclose(filtered(logits, one(1), one(2), one(1)), torch.tensor([[4 / 7, 3 / 7, 0, 0]]))
    assert torch.allclose(filtered(logits, one(1), one(0), one(0.5)), torch.tensor([[4 / 7, 3 / 7, 0, 0]]))
    assert filtered(logits, one(1), one(0), one(0)).tolist() == [[1, 0, 0, 0]]
    assert torch.allclose(filtered(logits, one(0.5), one(0), one(1)), torch.tensor([[16, 9, 4, 1]]) / 30)
    # top-k first: of two words left, the likelier alone takes the mass over one half.
    assert filtered(logits, one(1), one(2), one(0.5)).tolist() == [[1, 0, 0, 0]]
    assert torch.equal(logits, before)


def test_samples_have_their_own_filters():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log().expand(3, 2, 4)
    left = filtered(logits, one(1).expand(3), torch.tensor([1, 2, 0]), torch.tensor([1.0, 1.0, 1.0]))
    assert (left > 0).sum(-1).tolist() == [[1, 1], [2, 2], [4, 4]]


def test_draws_have_the_probabilities_they_should():
    chances = torch.tensor([0.5, 0.0, 0.3, 0.2])
    at = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    words, drawn = draw(chances.expand(1000, 4), at)
    assert torch.bincount(words, minlength=4).tolist() == [500, 0, 300, 200]
    assert torch.equal(drawn, chances[words])
    assert draw(torch.tensor([[1.0, 0.0]]), torch.tensor([1.0]))[0].tolist() == [0]


def test_ramps_and_decodings_are_read():
    decoding = Decoding.parse("steps 8 temperature 0.912-0.08 top_k 5 top_p 0.05+0.1")
    assert torch.allclose(decoding.temperature.of(10)[[0, 9]], torch.tensor([0.912, 0.192], dtype=torch.float64))
    assert (str(decoding.temperature), str(decoding.top_p), str(decoding.top_k)) == ("0.912-0.08", "0.05+0.1", "5")
    decoding.check(10)
    with pytest.raises(UsageError, match=r"temperature 0.912-0.08 is -0.048 for sample 12"):
        decoding.check(13)
    for text, sentence in (("steps", "no list of pairs"), ("heat 1", "names 'heat'"), ("top_k five", "neither a number nor a"),
                           ("steps 0", "steps of 1 or more")):
        with pytest.raises(UsageError, match=sentence):
            Decoding.parse(text)
    assert Ramp.parse("1e-3+2e-4") == Ramp(0.001, 0.0002)


@pytest.mark.parametrize("chunk", [1, 3])
def test_decoding_with_what_was_kept_equals_decoding_anew(chunk):
    network, seen, decoding = small(), inputs(1, 8), Decoding.parse("temperature 0.8 top_k 4")
    words, chances = decode_online(network, seen, decoding, 3, 0, "clip", chunk, chunk)
    again, others = decode_online_anew(network, seen, decoding, 3, 0, "clip", chunk, chunk, restart=False)
    assert torch.equal(words, again)
    torch.testing.assert_close(chances, others, rtol=1e-4, atol=1e-5)
    assert words.unique(dim=0).shape[0] == 3


def test_a_context_limits_what_is_kept_and_what_is_seen():
    network, seen, decoding = small(), inputs(1, 12), Decoding.parse("context 4")
    decoder = OnlineDecoder(network, 2, decoding, 1)
    kept = []
    for first in range(0, 12, 2):
        decoder.push(cut(seen, first, 2), torch.full((1, 2, 3), 0.5))
        kept.append(0 if decoder._past is None else decoder._past[0][0].shape[2])
    assert max(kept) <= 3 * 4
    changed = {name: value.clone() for name, value in seen.items()}
    changed["AU"][:, :2] += 1
    # Two layers reach back two contexts at most; the last chunk cannot know of the first.
    network = small()
    ends = []
    for one_of in (seen, changed):
        decoder = OnlineDecoder(network, 2, decoding, 1)
        chances = [decoder.push(cut(one_of, first, 2), torch.full((1, 2, 3), 0.5))[1] for first in range(0, 12, 2)]
        ends.append(chances)
    assert not torch.equal(ends[0][0], ends[1][0])


@pytest.mark.parametrize("chunk", [1, 4])
def test_online_words_do_not_depend_on_the_speaker_from_their_frame_on(chunk):
    network, seen, decoding = small(), inputs(1, 12), Decoding.parse("top_k 4")
    words, chances = decode_online(network, seen, decoding, 2, 0, "clip", chunk, chunk)
    for t in (3, 4, 7):
        changed = {name: value.clone() for name, value in seen.items()}
        for name in ("exp", "AU", "VA", "pose", "sound"):
            changed[name][:, t:] += 3
        others = decode_online(network, changed, decoding, 2, 0, "clip", chunk, chunk)
        assert torch.equal(words[:, :t + 1], others[0][:, :t + 1])
        assert torch.equal(chances[:, :t + 1], others[1][:, :t + 1])
        assert not torch.equal(chances, others[1])


@pytest.mark.parametrize("text", ["steps 1", "steps 4 temperature 0.9-0.1 top_p 0.5+0.1", "steps 3 decay 1", "steps 8 top_k 1"])
def test_offline_decoding_fills_every_word(text):
    network, seen = small(), inputs(1, 6)
    words, chances = decode_offline(network, seen, Decoding.parse(text), 3, 0, "clip")
    assert words.shape == (3, 6, 3)
    assert all((words[..., i] < count).all() for i, count in enumerate(WORDS.values()))
    assert torch.isfinite(chances).all()
    assert (chances <= 1e-9).all()


def test_samples_do_not_depend_on_how_many_are_drawn():
    network, seen, decoding = small(), inputs(1, 6), Decoding.parse("steps 3")
    few, many = (decode_offline(network, seen, decoding, k, 1, "clip")[0] for k in (2, 4))
    assert torch.equal(few, many[:2])
    few, many = (decode_online(network, seen, decoding, k, 1, "clip", 2, 2)[0] for k in (2, 4))
    assert torch.equal(few, many[:2])
    assert not torch.equal(uniforms(0, "a", 1, 0, 4, torch.device("cpu")), uniforms(0, "b", 1, 0, 4, torch.device("cpu")))
