"""The face tokenizer of FaceAIS: scalars rounded as published, sizes as published, blocks that know nothing of one another."""

import math

import numpy as np
import pytest
import torch
from faceais_small import tokenizer

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.config import read_config
from diffusionrig.reactions.generators.faceais.predictor_task import make_predictor
from diffusionrig.reactions.generators.faceais.quantizers import FSQ, Quantizer
from diffusionrig.reactions.generators.faceais.settings import TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import GROUPS, FaceTokenizer, face_loss

LEVELS = (8, 5, 5, 5)


def plain_fsq(z, levels):
    """The published formulas, one number at a time, in Python's floats."""
    codes, index, basis = [], 0, 1
    for value, level in zip(z, levels):
        half, offset = (level - 1) * (1 + 1e-3) / 2, 0.5 if level % 2 == 0 else 0.0
        rounded = round(math.tanh(value + math.atanh(offset / half)) * half - offset)
        codes.append(rounded / (level // 2))
        index += (rounded + level // 2) * basis
        basis *= level
    return codes, index


def test_scalars_are_rounded_by_the_published_formulas():
    fsq = FSQ(LEVELS, 4).double()
    z = torch.from_numpy(np.random.default_rng(0).normal(0, 2, (200, 4)))
    codes = fsq.codes(z)
    wanted = [plain_fsq(row, LEVELS) for row in z.tolist()]
    assert torch.equal(codes, torch.tensor([code for code, _ in wanted], dtype=torch.float64))
    assert fsq.index(codes).tolist() == [index for _, index in wanted]
    assert fsq.codes(torch.zeros(1, 4, dtype=torch.float64)).tolist() == [[0.0] * 4]


@pytest.mark.parametrize("levels", [LEVELS, (8, 6, 5), (3, 4)])
def test_every_token_comes_back_from_its_code(levels):
    fsq = FSQ(levels, 6)
    tokens = torch.arange(math.prod(levels))
    codes = fsq.codes_of(tokens)
    assert torch.equal(fsq.index(codes), tokens)
    assert codes.abs().max() <= 1
    assert len(torch.unique(codes, dim=0)) == math.prod(levels)


def test_of_two_levels_one_would_hardly_ever_be_taken():
    with pytest.raises(ValueError, match="3 levels or more each, not to 2"):
        FSQ((8, 2), 4)
    fsq = FSQ((3,), 4).double()
    fsq.levels.fill_(2)
    z = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None].requires_grad_()
    assert (fsq.codes(z) == 0).all()
    fsq.codes(z).sum().backward()
    assert z.grad[30] < 0.002  # at 0, where inputs begin


def test_the_gradient_passes_through_the_rounding():
    fsq = FSQ(LEVELS, 4).double()
    z = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    fsq.codes(z).sum().backward()
    passed, z.grad = z.grad.clone(), None
    (fsq.bound(z) / (fsq.levels // 2)).sum().backward()
    assert torch.equal(passed, z.grad)


@pytest.mark.parametrize("token", [-1, 1000, 2047])
def test_a_token_of_no_face_is_refused_and_not_wrapped_to_another(token):
    with pytest.raises(ValueError, match=r"0\.\.999"):
        FSQ(LEVELS, 4).decode(torch.tensor([5, token]))


def test_published_sizes():
    config = read_config("faceais_published")
    with torch.device("meta"):
        faces = FaceTokenizer(config.settings["tokenizer"])
        predictor = make_predictor(config.settings["predictor"], config.settings["tokenizer"])
    assert sum(p.numel() for p in faces.parameters()) == 27_570_568
    assert sum(p.numel() for p in predictor.parameters()) == 86_087_896
    assert faces.settings.tokens == 1000


def test_blocks_know_nothing_of_one_another_and_a_short_one_is_filled_up():
    faces = tokenizer()
    clip = torch.randn(2, 14, 58, generator=torch.Generator().manual_seed(0))
    tokens = faces.tokens(clip)
    assert tokens.shape == (2, 14)
    changed = clip.clone()
    changed[:, 4:8] += 3.0
    other = faces.tokens(changed)
    assert torch.equal(other[:, :4], tokens[:, :4])
    assert torch.equal(other[:, 8:], tokens[:, 8:])
    assert torch.equal(faces.tokens(torch.cat([clip, clip[:, -1:].expand(-1, 2, -1)], 1))[:, :14], tokens)
    coefficients, emotion = faces.faces(tokens[:, :12])
    assert coefficients.shape == (2, 12, 58)
    assert emotion.shape == (2, 12, 25)
    torch.testing.assert_close(faces.faces(tokens[:1, 4:8])[0], coefficients[:1, 4:8])


def test_the_loss_weighs_groups_alike():
    assert [GROUPS[0][0], *(b for _, b in GROUPS)] == [a for a, _ in GROUPS] + [58]
    wanted = torch.zeros(1, 2, 58)
    for a, b in ((8, 10), (26, 43)):
        made = wanted.clone()
        made[..., a:b] = 0.3
        assert float(face_loss(made, wanted)) == pytest.approx(0.3)
        assert float(face_loss(made, wanted, "squared")) == pytest.approx(0.9)


@pytest.mark.parametrize(("changes", "sentence"), [({"levels": "8,x"}, "whole numbers"), ({"levels": "8,2"}, "3 or more"),
                                                   ({"quantizer": "rvq"}, "does not exist"), ({"width": 63}, "multiple"),
                                                   ({"quantizer": "lfq", "codebook": 1000}, "power of two"),
                                                   ({"error": "cubed"}, "absolute, squared")])
def test_wrong_settings_are_one_sentence(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        TokenizerSettings(**changes)


@pytest.mark.parametrize("kind", ["vq", "lfq"])
def test_codebooks_of_the_library(kind):
    pytest.importorskip("vector_quantize_pytorch")
    torch.manual_seed(0)
    quantizer = Quantizer(kind, 16, LEVELS, 64)
    made, tokens, loss = quantizer(torch.randn(3, 40, 16))
    assert loss.ndim == 0
    assert loss.isfinite()
    assert 0 <= int(tokens.min()) <= int(tokens.max()) < 64
    quantizer.eval()
    made, tokens, _ = quantizer(torch.randn(3, 8, 16))
    torch.testing.assert_close(quantizer.decode(tokens), made)


def test_absence_of_the_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vector_quantize_pytorch", None)
    with pytest.raises(UsageError, match="extra 'quantizers'"):
        Quantizer("vq", 16, LEVELS, 64)
