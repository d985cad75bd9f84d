"""FaceAIS's predictor: who sees whom, fusion by its formula, caches that change nothing, drawing."""

import math

import numpy as np
import pytest
import torch
from faceais_small import generator
from torch.nn import functional

from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.faceais.blocks import Build, CrossModalBlock, Rotation
from diffusionrig.reactions.generators.faceais.generating import Conversation
from diffusionrig.reactions.generators.faceais.masks import both_ways, causal
from diffusionrig.reactions.generators.faceais.predictor import MASK, SPECIALS
from diffusionrig.reactions.generators.faceais.predictor_task import shifted, teacher_forced
from diffusionrig.reactions.generators.faceais.sampling import draw, settle, still_hidden
from diffusionrig.reactions.interface import SpeakerClip

PATCH, PATCHES, TOKENS = 8, 4, 1000


def streams(seed=0, batch=2):
    """face, sound, unheard, past, draft, offline of ``teacher_forced``; and what they are made of."""
    random = torch.Generator().manual_seed(seed)
    face, target = (torch.randint(TOKENS, (batch, PATCH * PATCHES), generator=random) for _ in range(2))
    sound = torch.randn(*face.shape, 26, generator=random, dtype=torch.float64)
    return face, target, sound


def logits_of(predictor, face, target, sound, offline):
    rows = len(face)
    return teacher_forced(predictor, shifted(face + SPECIALS, PATCH), shifted(sound, PATCH, 0.0),
                          shifted(torch.zeros_like(face, dtype=torch.bool), PATCH, True),
                          shifted(target + SPECIALS, PATCH)[:, :-PATCH], torch.full_like(target, MASK),
                          torch.full((rows,), offline))


@pytest.fixture(scope="module")
def predictor():
    return generator(torch.float64).predictor


@pytest.mark.parametrize("offline", [False, True])
def test_no_patch_sees_its_own_targets(predictor, offline):
    face, target, sound = streams()
    before = logits_of(predictor, face, target, sound, offline)
    for patch in range(PATCHES):
        changed = target.clone()
        changed[:, patch * PATCH:] = (changed[:, patch * PATCH:] + 7) % TOKENS
        after = logits_of(predictor, face, changed, sound, offline)
        seen = (patch + 1) * PATCH
        assert torch.equal(after[:, :seen], before[:, :seen])
        assert patch == PATCHES - 1 or not torch.allclose(after[:, seen:], before[:, seen:])


def test_online_a_patch_depends_on_frames_before_it_alone(predictor):
    face, target, sound = streams()
    before = logits_of(predictor, face, target, sound, False)
    for first in range(0, PATCH * PATCHES, PATCH):
        other_face, other_sound = face.clone(), sound.clone()
        other_face[:, first:] = (other_face[:, first:] + 5) % TOKENS
        other_sound[:, first:] += 1
        after = logits_of(predictor, other_face, target, other_sound, False)
        assert torch.equal(after[:, :first + PATCH], before[:, :first + PATCH])
    other_face[:, -1:] = 3
    whole = logits_of(predictor, face, target, sound, True)
    assert not torch.allclose(logits_of(predictor, other_face, target, sound, True)[:, :PATCH], whole[:, :PATCH])


def test_rows_of_a_batch_do_not_meet(predictor):
    face, target, sound = streams(batch=3)
    together = logits_of(predictor, face, target, sound, False)
    alone = [logits_of(predictor, face[i:i + 1], target[i:i + 1], sound[i:i + 1], False) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-12)


def test_masks_are_written_in_patches():
    seen = causal(3, 2, 4)
    assert seen.int().tolist() == [[1, 1, 0, 0, 0, 0]] * 2 + [[1, 1, 1, 1, 0, 0]] * 2 + [[0, 0, 1, 1, 1, 1]] * 2
    assert torch.equal(both_ways(3, 2, 4), seen | seen.T)


def test_a_cross_modal_block_follows_its_formula():
    block = CrossModalBlock(Build(8, 2, True, 0.0, 0.0), gate=0.4).double()
    random = torch.Generator().manual_seed(0)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5, generator=random) if parameter.ndim else None
    x, y = (torch.randn(1, 5, 8, dtype=torch.float64, generator=random) for _ in range(2))

    def attention(q, k, v):
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            weights = (q[..., part] @ k[..., part].transpose(1, 2) / 2).softmax(-1)
            heads.append(weights @ v[..., part])
        return torch.cat(heads, -1)

    normed = block.ln_1(x)
    q, k, v = (normed @ block.attn.c_attn.weight.T + block.attn.c_attn.bias).split(8, 2)
    h = block.attn.c_proj(attention(q, k, v))
    kv = block.attn_cross.y_c_attn(block.ln_3(y))
    cross = block.attn_cross.c_proj(attention(block.attn_cross.x_c_attn(block.ln_1(h)), kv[..., :8], kv[..., 8:]))
    assert block.gated_alpha.item() == pytest.approx(0.4)
    middle = x + h + block.gated_alpha * cross
    wanted = middle + block.mlp.c_proj(functional.gelu(block.mlp.c_fc(block.ln_2(middle))))
    torch.testing.assert_close(block(x, y), wanted, rtol=1e-12, atol=1e-12)


def test_fusion_changes_both_streams(predictor):
    fusion = predictor.speaker.h[0]
    x, y = (torch.randn(1, PATCH, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i in range(2))
    rotation = predictor.rotation(0, 1)
    made = fusion(x, y, None, rotation)
    assert not torch.equal(made[0], made[1])
    assert not torch.allclose(fusion(x, y + 1 * torch.randn_like(y), None, rotation)[0], made[0])
    assert not torch.allclose(fusion(x + 1 * torch.randn_like(x), y, None, rotation)[1], made[1])
    assert predictor.listener.h[-1].y is None


def test_rotary_scores_depend_on_distance_alone():
    random = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 1, 6, 8, dtype=torch.float64, generator=random) for _ in range(2))
    near, far = (Rotation(start, 6, 8, q) for start in (0, 5000))
    torch.testing.assert_close(near(q) @ near(k).transpose(2, 3), far(q) @ far(k).transpose(2, 3), rtol=0, atol=1e-9)


@pytest.mark.parametrize("context", [16, 32])
def test_caches_give_the_logits_of_the_whole_also_where_the_context_slides(context):
    """Teacher-forced logits equal those of a conversation that is fed the same, patch by patch."""
    predictor = generator(torch.float64, context=context).predictor
    face, target, sound = streams(batch=1)
    wanted = logits_of(predictor, face, target, sound, False)
    talk = Conversation(predictor, "clip", 1, 0)
    found = []
    predictor.listener.register_forward_hook(lambda module, arguments, made: found.append(made))
    for patch in range(PATCHES):
        talk.react()
        rows = slice(patch * PATCH, (patch + 1) * PATCH)
        talk._past = target[:, rows] + SPECIALS
        talk.hear(face[0, rows], sound[0, rows])
    torch.testing.assert_close(torch.cat(found, 1), wanted, rtol=0, atol=1e-10)


def test_the_likeliest_are_those_of_each_row():
    logits = torch.tensor([[5.0, 4.0, 3.0, 0.0], [0.0, 1.0, 2.0, 9.0]])
    uniform = torch.linspace(0, 0.999, 500).expand(2, 500)
    tokens, chances = draw(logits[:, None].expand(2, 500, 4), uniform, 5.0, 2)
    assert [sorted(set(row.tolist())) for row in tokens] == [[0, 1], [2, 3]]
    assert chances[0, 0] == pytest.approx(1 / (1 + math.exp(-0.2)))
    assert torch.equal(logits, torch.tensor([[5.0, 4.0, 3.0, 0.0], [0.0, 1.0, 2.0, 9.0]]))


def test_draws_follow_the_probabilities():
    logits = torch.log(torch.tensor([0.1, 0.0, 0.6, 0.3]))
    uniform = (torch.arange(1000) + 0.5) / 1000
    tokens, chances = draw(logits.expand(1000, 4), uniform, 1.0, 0)
    assert torch.bincount(tokens, minlength=4).tolist() == [100, 0, 600, 300]
    assert chances[0] == pytest.approx(0.1)
    assert set(draw(logits.expand(1000, 4), uniform, 1.0, 1)[0].tolist()) == {2}
    cold = torch.bincount(draw(logits.expand(1000, 4), uniform, 0.25, 0)[0], minlength=4)
    assert cold[2] > 900
    edge = draw(torch.log(torch.tensor([[0.5, 0.5, 0.0]])), torch.tensor([0.99999997]), 1.0, 0)[0]
    assert edge.tolist() == [1]


@pytest.mark.parametrize("steps", [1, 3, 8, 20])
def test_a_patch_is_filled_to_the_last_frame_even_by_equal_chances(steps):
    draft, hidden = torch.full((2, PATCH), MASK), torch.ones(2, PATCH, dtype=torch.bool)
    for step in range(1, steps + 1):
        remain = still_hidden(PATCH, step, steps)
        draft, hidden = settle(draft, torch.full_like(draft, step + 10), torch.ones(2, PATCH), hidden, remain)
        assert hidden.sum(1).tolist() == [remain] * 2
    assert MASK not in draft
    assert still_hidden(32, 1, 2) == round(32 * math.cos(math.pi / 4))


def test_the_most_certain_frames_are_settled_first_and_stay():
    draft, hidden = torch.tensor([[MASK, 50, MASK, MASK]]), torch.tensor([[True, False, True, True]])
    draft, hidden = settle(draft, torch.tensor([[9, 8, 7, 6]]), torch.tensor([[0.2, 0.9, 0.1, 0.8]]), hidden, 1)
    assert draft.tolist() == [[9, 50, MASK, 6]]
    assert hidden.tolist() == [[False, False, True, False]]


def speaker(frames=29, seed=0, name="clip"):
    random = np.random.default_rng(seed)
    return SpeakerClip(name, random.random((frames, 25), np.float32), random.normal(0, 1, (frames, 58)).astype(np.float32),
                       {AUDIO: random.normal(-14, 5, (frames, 26)).astype(np.float32)})


@pytest.mark.parametrize("compat", [False, True])
def test_a_sample_does_not_depend_on_how_many_are_made(compat):
    made = generator(compat=compat, steps=1 if compat else 3)
    three, one = (made.generate(speaker(), None, k, 5, "online") for k in (3, 1))
    assert three.emotion.shape == (3, 29, 25)
    assert three.coefficients.shape == (3, 29, 58)
    np.testing.assert_allclose(three.emotion[:1], one.emotion, atol=1e-5)
    assert np.abs(three.coefficients[0] - three.coefficients[1]).max() > 0.1
    again = made.generate(speaker(name="other"), None, 1, 5, "online")
    assert np.abs(again.coefficients - one.coefficients).max() > 0.1
    assert np.array_equal(made.generate(speaker(), None, 3, 5, "online").coefficients, three.coefficients)


@pytest.mark.parametrize("compat", [False, True])
def test_online_frames_do_not_depend_on_what_the_speaker_shows_from_then_on(compat):
    made = generator(compat=compat, steps=1 if compat else 2)
    whole = speaker()
    reference = made.generate(whole, None, 2, 0, "online")
    for t in (1, 8, 13, 24):
        faces, sound = whole.coefficients.copy(), whole.audio[AUDIO].copy()
        faces[t:] += 2.0
        sound[t:] += 4.0
        other = made.generate(SpeakerClip("clip", whole.emotion, faces, {AUDIO: sound}), None, 2, 0, "online")
        assert np.array_equal(other.coefficients[:, :t], reference.coefficients[:, :t])
        assert np.array_equal(other.emotion[:, :t], reference.emotion[:, :t])
    assert not np.array_equal(other.coefficients, made.generate(whole, None, 2, 0, "offline").coefficients)


def test_the_mean_face_is_added_once_and_attributes_keep_their_ranges():
    made = generator()
    result = made.generate(speaker(), None, 2, 0, "offline")
    made.model.mean_face += 10.0
    shifted_face = made.shown(torch.zeros(1, 8, dtype=torch.long), 8).coefficients
    made.model.mean_face -= 10.0
    np.testing.assert_allclose(shifted_face - made.shown(torch.zeros(1, 8, dtype=torch.long), 8).coefficients, 10.0, atol=1e-4)
    assert result.emotion[..., :15].min() >= 0
    assert result.emotion[..., :15].max() <= 1
    assert np.abs(result.emotion[..., 15:17]).max() <= 1
