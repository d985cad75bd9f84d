"""The transformer: sizes of the publication, who sees whom, positions, formulas in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_unifr import WORDS, inputs, small, words

from diffusionrig.reactions.generators.unifr.attention import Attention, Places, may_see
from diffusionrig.reactions.generators.unifr.network import Sizes, UnifiedTransformer, positions
from diffusionrig.reactions.generators.unifr.objectives import causal_loss, draw_mask, masked_loss, matching_loss
from diffusionrig.reactions.generators.unifr.settings import Pretrain


def test_the_published_sizes():
    with torch.device("meta"):
        network = UnifiedTransformer(Pretrain(inputs="prepared").sizes({"AU": 5976, "exp": 8000, "VA": 2710}))
    count = lambda module: sum(p.numel() for p in module.parameters())  # noqa: E731
    # The published count has the table of 4501 positions among its parameters.
    assert round((count(network) + 4501 * 768) / 1e6, 1) == 190.0
    assert round(count(network.project["descriptors"]) / 1e6, 1) == 74.8
    assert round(count(network.blocks) / 1e6, 1) == 75.6
    assert round(count(network.embed) / 1e6, 1) == round(count(network.heads) / 1e6, 1) == 12.8


def published_mask(frames: int, chunk: int) -> np.ndarray:
    """The rule of the publication, token by token."""
    n = 6 * frames
    seen = np.zeros((n, n), bool)
    for q in range(n):
        for k in range(n):
            same = q // (6 * chunk) == k // (6 * chunk)
            seen[q, k] = same or (q % 6 < 3 and k % 6 < 3 and k <= q)
    return seen


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_tokens_that_tell_see_as_published(chunk):
    places = Places.of_frames(0, 7, asking=False)
    assert np.array_equal(may_see(places, places, chunk).numpy(), published_mask(7, chunk))


def test_asking_chunks_see_themselves_and_what_was_told_before_within_the_context():
    asking, telling = (Places.of_frames(0, 6, asking=one) for one in (True, False))
    assert not may_see(telling, asking, 2).any()
    seen = may_see(asking, telling, 2, context=4).unflatten(0, (6, 6)).unflatten(2, (6, 6))  # query frame, kind, key frame, kind
    assert seen[4, 0, :, 0].tolist() == [False, False, True, True, False, False]
    assert not seen[:, 3:].any()
    assert not seen[..., 3:].any()


def test_attention_is_the_formula_in_float64():
    attention = Attention(8, 2, 0.0).double().eval()
    x, mask = torch.randn(2, 5, 8, dtype=torch.float64), torch.ones(5, 5, dtype=torch.bool).tril()
    query, key, value = attention.qkv(x).chunk(3, -1)
    heads = []
    for h in range(2):
        part = slice(4 * h, 4 * h + 4)
        score = query[..., part] @ key[..., part].transpose(1, 2) / math.sqrt(4)
        heads.append(score.masked_fill(~mask, -torch.inf).softmax(-1) @ value[..., part])
    torch.testing.assert_close(attention(x, mask)[0], attention.out(torch.cat(heads, -1)), rtol=1e-12, atol=1e-12)
    whole = attention(x, mask)[0]
    _, past = attention(x[:, :3], mask[:3, :3])
    torch.testing.assert_close(attention(x[:, 3:], mask[3:], past)[0], whole[:, 3:], rtol=1e-12, atol=1e-12)


def test_positions_are_sinusoids_of_the_token():
    table = positions(torch.tensor([0, 7]), 6)
    assert table[0].tolist() == [0, 1, 0, 1, 0, 1]
    assert np.allclose(table[1], [f(7 / 10000 ** (2 * i / 6)) for i in range(3) for f in (math.sin, math.cos)], atol=1e-6)


def test_only_linear_weights_decay():
    network = small()
    undecayed = network.undecayed()
    assert {"blocks.0.both.qkv.weight", "heads.AU.weight", "project.pose.weight"}.isdisjoint(undecayed)
    assert {"embed.AU.weight", "masked", "sort", "blocks.0.norm1.weight", "blocks.1.mlp.0.bias"} <= undecayed


def test_causal_training_cannot_see_its_targets():
    network, seen, told = small(), inputs(1, 6), words(1, 6)

    def slopes(leak: bool) -> torch.Tensor:
        """Change of the loss of frames 2 and 3 alone is not accessible, so look at logits through single-frame gradients."""
        changed = told.clone()
        changed[:, 2:4] = (changed[:, 2:4] + 1) % torch.tensor(list(WORDS.values()))
        return causal_states(network, seen, told, leak) - causal_states(network, seen, changed, leak)

    clean, leaking = slopes(False), slopes(True)
    assert not clean[:, :4].any()
    assert clean[:, 4:].any()  # later chunks hear of it
    assert leaking[:, 2:4].any()  # the published defect


def causal_states(network, seen, told, leak):
    """Logits (B, T, V) of action units as the objective reads them."""
    caught = {}
    handle = network.heads["AU"].register_forward_hook(lambda module, args, out: caught.update(out=out.detach()))
    causal_loss(network, seen, told, 2, 2, 0, [0], leak)
    handle.remove()
    return caught["out"]


@pytest.mark.parametrize("delay", [0, 2])
def test_causal_answers_depend_on_what_was_shown_before(delay):
    network, seen, told = small(), inputs(1, 8), words(1, 8)
    before = causal_states_delayed(network, seen, told, delay)
    changed = {name: value.clone() for name, value in seen.items()}
    for name in ("exp", "AU", "VA", "pose", "sound"):
        changed[name][:, 4:] += 1
    after = causal_states_delayed(network, changed, told, delay)
    assert torch.equal(before[:, :4 + delay], after[:, :4 + delay])
    assert not torch.equal(before[:, 4 + delay:], after[:, 4 + delay:])


def causal_states_delayed(network, seen, told, delay):
    caught = {}
    handle = network.heads["AU"].register_forward_hook(lambda module, args, out: caught.update(out=out.detach()))
    causal_loss(network, seen, told, 2, delay, 0, [0], leak=False)
    handle.remove()
    return caught["out"]


def test_items_of_a_batch_do_not_touch_one_another():
    network, seen, told = small(), inputs(3, 5), words(3, 5)
    shown = torch.stack([draw_mask(5, np.random.default_rng(i)) for i in range(3)])
    losses = [lambda s, w, m, at: matching_loss(network, s, w, True, at), lambda s, w, m, at: masked_loss(network, s, w, m, ~m, at),
              lambda s, w, m, at: causal_loss(network, s, w, 2, 2, 0, at, False)]
    for loss in losses:
        together = loss(seen, told, shown, [0, 3, 9])
        for i, at in enumerate((0, 3, 9)):
            one = {name: value[i:i + 1] for name, value in seen.items()}
            torch.testing.assert_close(loss(one, told[i:i + 1], shown[i:i + 1], [at])[0], together[i], rtol=1e-5, atol=1e-6)


def test_masked_words_and_faceless_frames_are_unseen():
    network, seen, told = small(), inputs(1, 5), words(1, 5)
    hidden = torch.zeros(1, 5, 3, dtype=torch.bool)
    assert torch.equal(network.listener_tokens(told, hidden), network.listener_tokens((told + 1) % 5, hidden))
    seen["face"][:] = False
    other = {**seen, "AU": seen["AU"] + 1, "exp": seen["exp"] - 1}
    assert torch.equal(network.speaker_tokens(seen), network.speaker_tokens(other))


def test_as_many_words_are_masked_in_every_stream_as_the_cosine_says():
    for seed in range(20):
        ratio = np.random.default_rng(seed).random()
        shown = draw_mask(50, np.random.default_rng(seed))
        assert (~shown).sum(0).tolist() == [math.ceil(50 * math.cos(math.pi / 2 * ratio))] * 3


def test_sizes_must_fit():
    from diffusionrig.errors import UsageError

    with pytest.raises(UsageError, match="width of 10 cannot be divided among 3 heads"):
        Pretrain(width=10, heads=3)
    with pytest.raises(UsageError, match="objectives name 'guessing'"):
        Pretrain(objectives="masked guessing")
    assert Pretrain(online_step=4).shift == 4
    assert Sizes(WORDS, {}).width == 768
