"""Samplers of training steps."""

import numpy as np
import pytest
import torch

from diffusionrig.diffusion.timesteps import LossSecondMomentSampler, UniformSampler, make_sampler
from diffusionrig.errors import UsageError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_uniform():
    index, weights = UniformSampler(10).sample(20000, generator())
    assert index.dtype == torch.int64
    assert torch.equal(weights, torch.ones(20000))
    assert torch.bincount(index, minlength=10).float().div(2000).sub(1).abs().max() < 0.1
    assert torch.equal(UniformSampler(10).sample(20000, generator())[0], index)


def filled(losses, history=3):
    sampler = LossSecondMomentSampler(len(losses), history=history)
    for _ in range(history):
        sampler.update(torch.arange(len(losses)), torch.tensor(losses))
    return sampler


def test_uniform_until_the_history_is_full():
    sampler = LossSecondMomentSampler(4, history=2)
    sampler.update(torch.tensor([0, 0, 0, 1, 1, 2, 2, 3]), torch.rand(8, generator=generator()))
    assert np.allclose(sampler.probabilities(), 0.25)
    sampler.update(torch.tensor([3]), torch.tensor([5.0]))
    assert not np.allclose(sampler.probabilities(), 0.25)


def test_probability_follows_the_root_mean_square_of_recent_losses():
    sampler = filled([1.0, 2.0, 3.0, 4.0])
    expected = 0.999 * np.array([1, 2, 3, 4]) / 10 + 0.001 / 4
    assert np.allclose(sampler.probabilities(), expected)
    sampler.update(torch.tensor([0, 0, 0]), torch.tensor([2.0, 2.0, 2.0]))  # pushes the old ones out
    assert np.allclose(sampler.probabilities(), 0.999 * np.array([2, 2, 3, 4]) / 11 + 0.001 / 4)


def test_weights_keep_the_expected_loss():
    sampler = filled([1.0, 2.0, 3.0, 10.0])
    index, weights = sampler.sample(200_000, generator())
    assert weights.mean().item() == pytest.approx(1.0, abs=0.01)
    losses = torch.tensor([7.0, 1.0, 0.5, 2.0])
    assert (weights * losses[index]).mean().item() == pytest.approx(losses.mean().item(), rel=0.02)


def test_losses_that_are_not_finite_are_left_out():
    sampler = filled([1.0, 2.0])
    before = sampler.probabilities()
    sampler.update(torch.tensor([0, 1]), torch.tensor([float("nan"), float("inf")]))
    assert np.array_equal(sampler.probabilities(), before)
    assert np.isfinite(filled([0.0, 0.0]).probabilities()).all()


def test_state_continues_exactly():
    sampler, copy = filled([1.0, 2.0, 3.0]), LossSecondMomentSampler(3, history=3)
    copy.load_state_dict(sampler.state_dict())
    for each in (sampler, copy):
        each.update(torch.tensor([2, 0]), torch.tensor([9.0, 4.0]))
    assert torch.equal(sampler.sample(50, generator())[0], copy.sample(50, generator())[0])
    UniformSampler(3).load_state_dict(UniformSampler(3).state_dict())


def test_names():
    assert isinstance(make_sampler("uniform", 5), UniformSampler)
    assert isinstance(make_sampler("loss-second-moment", 5), LossSecondMomentSampler)
    with pytest.raises(UsageError, match="uniform or loss-second-moment"):
        make_sampler("importance", 5)
