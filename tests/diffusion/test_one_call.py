"""Regression: one call from the condition alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion, beginning
from diffusionrig.diffusion.samplers import ancestral, ddim, ipndm, unipc
from diffusionrig.diffusion.schedule import make_schedule
from diffusionrig.errors import UsageError
from diffusionrig.randomness import torch_stream

ONE = DiffusionConfig(one_call=True, predict_xstart=True)
NOISY = DiffusionConfig(predict_xstart=True)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch_stream("one call", seed))


def test_there_is_one_step_the_last():
    schedule = make_schedule(ONE)
    assert len(schedule) == 1
    assert schedule.abar == pytest.approx(make_schedule(NOISY).abar[-1:])
    assert make_schedule(DiffusionConfig(one_call=True, predict_xstart=True, timestep_respacing="10")).abar.shape == (1,)
    assert len(make_schedule(ONE, np.array([3, 500]))) == 1
    assert schedule.model_time(torch.tensor([0])).tolist() == [999]


def test_it_begins_with_zeros():
    noise = draw(2, 3, 4, 4)
    assert torch.equal(beginning(ONE, noise), torch.zeros(2, 3, 4, 4))
    assert beginning(NOISY, noise) is noise


def test_the_loss_does_not_depend_on_noise():
    process, truth, answer = GaussianDiffusion(ONE), draw(4, 3, 6, 6), draw(4, 3, 6, 6, seed=1)
    seen = []

    def model(x: Tensor, time: Tensor) -> Tensor:
        seen.append((x, time))
        return answer + x

    index = torch.zeros(4, dtype=torch.int64)
    losses = [process.training_loss(model, truth, index, draw(4, 3, 6, 6, seed=seed))["loss"] for seed in (2, 3)]
    assert torch.equal(*losses)
    torch.testing.assert_close(losses[0], (answer - truth).square().mean((1, 2, 3)))
    assert all((x == 0).all() and time.tolist() == [999] * 4 for x, time in seen)
    noisy = GaussianDiffusion(NOISY)
    others = [noisy.training_loss(model, truth, index + 500, draw(4, 3, 6, 6, seed=seed))["loss"] for seed in (2, 3)]
    assert not torch.equal(*others)


def test_a_distance_takes_the_place_of_the_squared_error():
    process, truth, answer = GaussianDiffusion(ONE), draw(2, 3, 4, 4), draw(2, 3, 4, 4, seed=1)
    terms = process.training_loss(lambda x, time: answer, truth, torch.zeros(2, dtype=torch.int64), truth,
                                  lambda predicted, target: (predicted - target).abs().amax((1, 2, 3)))
    torch.testing.assert_close(terms["loss"], (answer - truth).abs().amax((1, 2, 3)))


@pytest.mark.parametrize("sampler", [ddim, ipndm, unipc, lambda *args: ancestral(
    *args, generators=[torch_stream("drawn", row) for row in range(2)])], ids=["ddim", "ipndm", "unipc", "ancestral"])
def test_the_drawn_picture_is_the_clamped_prediction(sampler):
    answer, calls = 2 * draw(2, 3, 5, 5), []

    def model(x: Tensor, time: Tensor) -> Tensor:
        calls.append(x)
        return answer

    picture = sampler(model, beginning(ONE, draw(2, 3, 5, 5, seed=4)), make_schedule(ONE))
    torch.testing.assert_close(picture, answer.clamp(-1, 1), rtol=0, atol=1e-6)
    assert len(calls) == 1
    assert answer.abs().max() > 1


@pytest.mark.parametrize("settings", [{}, {"predict_v": True}, {"predict_xstart": True, "use_kl": True},
                                      {"predict_xstart": True, "p2_weight": True}, {"predict_xstart": True, "min_snr": 5.0}])
def test_what_does_not_go_with_it(settings):
    with pytest.raises(UsageError, match=r"--one_call True predicts the clean image .* give --predict_xstart True"):
        DiffusionConfig(one_call=True, **settings)


def test_descriptions_from_before_load_unchanged():
    old = {name: value for name, value in NOISY.to_dict().items() if name != "one_call"}
    assert DiffusionConfig.from_dict(old) == NOISY
    assert not DiffusionConfig().one_call
    assert DiffusionConfig.from_dict(ONE.to_dict()) == ONE
