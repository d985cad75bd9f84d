"""Samplers with denoisers whose answer is known in closed form."""

import itertools
import math

import numpy as np
import pytest
import torch

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.conversions import posterior_mean, x0_from_eps
from diffusionrig.diffusion.samplers import ancestral, ddim, ddim_reverse, draw_noise
from diffusionrig.diffusion.schedule import make_schedule

MEAN, SPREAD = 0.3, 0.2  # data of the Gaussian examples


def schedule_of(respacing="ddim50", **settings):
    return make_schedule(DiffusionConfig(timestep_respacing=respacing, **settings))


def level_of(schedule):
    """Model time -> abar, as a function on tensors."""
    table = torch.zeros(1001, dtype=torch.float64)
    table[torch.as_tensor(schedule.timesteps).long()] = torch.from_numpy(schedule.abar)
    return lambda t: table[t.long()].view(-1, 1, 1, 1)


def point_denoiser(schedule, image):
    """Data are one image: eps = (x - sqrt(abar) image) / sqrt(1 - abar)."""
    level = level_of(schedule)
    return lambda x, t: (x - level(t).sqrt().to(x.dtype) * image) / (1 - level(t)).sqrt().to(x.dtype)


def gaussian_denoiser(schedule):
    """Data N(MEAN, SPREAD^2): E[eps | x] = sqrt(1 - abar) (x - sqrt(abar) MEAN) / (abar SPREAD^2 + 1 - abar)."""
    level = level_of(schedule)

    def eps(x, t):
        abar = level(t).to(x.dtype)
        return (1 - abar).sqrt() * (x - abar.sqrt() * MEAN) / (abar * SPREAD**2 + 1 - abar)

    return eps


def generators(count, first=0):
    return [torch.Generator().manual_seed(first + b) for b in range(count)]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("respacing", ["ddim20", "ddim50", "10,5"])
def test_a_perfect_denoiser_recovers_the_image_exactly(respacing, clip):
    schedule = schedule_of(respacing)
    image = normal(2, 3, 4, 4).clamp(-1, 1)
    denoiser = point_denoiser(schedule, image)
    for result in (ddim(denoiser, normal(2, 3, 4, 4, seed=1), schedule, clip_denoised=clip),
                   ddim(denoiser, normal(2, 3, 4, 4, seed=1), schedule, eta=1.0, generators=generators(2),
                        clip_denoised=clip),
                   ancestral(denoiser, normal(2, 3, 4, 4, seed=1), schedule, generators=generators(2),
                             clip_denoised=clip)):
        torch.testing.assert_close(result, image, atol=1e-9, rtol=0)


def test_one_ddim_step_by_hand():
    schedule = schedule_of("ddim20")
    x, out = normal(1, 1, 2, 2), normal(1, 1, 2, 2, seed=1)
    states = []
    ddim(lambda x, t: states.append(x) or out, x, schedule, eta=0.5, generators=generators(1), clip_denoised=False)
    a, p = schedule.abar[19], schedule.abar[18]
    sigma = 0.5 * math.sqrt((1 - p) / (1 - a)) * math.sqrt(1 - a / p)
    x0 = (x - math.sqrt(1 - a) * out) / math.sqrt(a)
    noise = torch.randn(1, 2, 2, generator=generators(1)[0]).double()
    expected = math.sqrt(p) * x0 + math.sqrt(1 - p - sigma**2) * out + sigma * noise
    torch.testing.assert_close(states[1], expected, atol=1e-10, rtol=1e-12)


def test_clamping_recomputes_the_noise():
    schedule = schedule_of("ddim20")
    x, out = normal(1, 1, 2, 2), normal(1, 1, 2, 2, seed=1)
    states, seen = [], []
    result = ddim(lambda x, t: states.append(x) or out, x, schedule, callback=lambda *args: seen.append(args))
    a, p = schedule.abar[19], schedule.abar[18]
    x0 = ((x - math.sqrt(1 - a) * out) / math.sqrt(a)).clamp(-1, 1)
    eps = (x - math.sqrt(a) * x0) / math.sqrt(1 - a)
    torch.testing.assert_close(states[1], math.sqrt(p) * x0 + math.sqrt(1 - p) * eps, atol=1e-10, rtol=1e-12)
    assert result.abs().max() <= 1
    assert torch.equal(result, seen[-1][2])
    assert [(done, total) for done, total, _ in seen] == [(k, 20) for k in range(1, 21)]


def test_ancestral_step_has_the_stated_mean_and_variance():
    schedule = schedule_of("ddim20")
    x, out = normal(1, 1, 1, 1).expand(4000, 1, 1, 1), normal(1, 1, 1, 1, seed=1).expand(4000, 1, 1, 1)
    states = []
    ancestral(lambda x, t: states.append(x) or out, x, schedule, generators=generators(4000), clip_denoised=False)
    index = torch.tensor([19])
    mean = posterior_mean(schedule, x[:1], index, x0_from_eps(schedule, x[:1], index, out[:1])).item()
    beta = schedule.betas[19]
    assert states[1].mean().item() == pytest.approx(mean, abs=4 * math.sqrt(beta / 4000))
    assert states[1].var().item() == pytest.approx(beta, rel=0.1)


def test_learned_variance_sets_the_noise_of_ancestral_steps():
    schedule = schedule_of("ddim20")
    results = {}
    for fraction in (-1.0, 1.0, None):
        states = []

        def denoiser(x, t, states=states, fraction=fraction):
            states.append(x)
            return torch.zeros_like(x) if fraction is None else torch.cat([x * 0, torch.full_like(x, fraction)], 1)

        x = normal(1, 1, 2, 2)
        ancestral(denoiser, x, schedule, generators=generators(1), clip_denoised=False)
        index = torch.tensor([19])
        mean = posterior_mean(schedule, x, index, x0_from_eps(schedule, x, index, x * 0))
        results[fraction] = states[1] - mean
        assert torch.equal(ddim(denoiser, x, schedule), ddim(lambda x, t: x * 0, x, schedule))
    torch.testing.assert_close(results[1.0], results[None])
    ratio = math.sqrt(schedule.posterior_variance[19] / schedule.betas[19])
    torch.testing.assert_close(results[-1.0], results[None] * ratio)


def sampled(kind, schedule, count=20000):
    x = normal(1, 1, 1, count)
    denoiser = gaussian_denoiser(schedule)
    if kind == "ancestral":
        return ancestral(denoiser, x, schedule, generators=generators(1), clip_denoised=False)
    return ddim(denoiser, x, schedule, eta=1.0 if kind == "ddim eta 1" else 0.0, generators=generators(1),
                clip_denoised=False)


@pytest.mark.parametrize("kind", ["ddim", "ddim eta 1", "ancestral"])
def test_gaussian_data_keep_their_distribution(kind):
    samples = sampled(kind, schedule_of(""))
    assert samples.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert samples.std().item() == pytest.approx(SPREAD, rel=0.03)


def test_more_steps_come_closer_to_the_exact_flow():
    """For Gaussian data the flow is affine: x_0 = MEAN + SPREAD (x_T - sqrt(abar) MEAN) / sqrt(var_T)."""
    errors = []
    for respacing in ("10", "40", "160", "640"):
        schedule = schedule_of(respacing)
        x = normal(1, 1, 1, 50)
        abar = schedule.abar[-1]
        exact = MEAN + SPREAD * (x - math.sqrt(abar) * MEAN) / math.sqrt(abar * SPREAD**2 + 1 - abar)
        errors.append((ddim(gaussian_denoiser(schedule), x, schedule, clip_denoised=False) - exact).abs().max().item())
    assert all(finer < 0.4 * coarser for coarser, finer in itertools.pairwise(errors)), errors
    assert errors[-1] < 0.01


def test_inversion_and_sampling_are_inverse():
    schedule = schedule_of("ddim50")
    denoiser = gaussian_denoiser(schedule)
    image = MEAN + SPREAD * normal(2, 3, 4, 4)
    errors = []
    for refinements in (0, 1, 5, 20):
        noise = ddim_reverse(denoiser, image, schedule, refinements=refinements)
        errors.append((ddim(denoiser, noise, schedule, clip_denoised=False) - image).abs().max().item())
    assert errors[0] < 0.2
    assert errors[1] < 0.2 * errors[0]
    assert errors[2] < 1e-4
    assert errors[3] < 1e-12
    seen = []
    ddim_reverse(denoiser, image, schedule, callback=lambda done, total, x0: seen.append(done))
    assert seen == list(range(1, 51))


def test_all_kinds_of_prediction_sample_alike():
    """The same denoiser in each form gives the same image."""
    noise_form, image_form, velocity_form = (schedule_of("ddim20", **flags) for flags in
                                             ({}, {"predict_xstart": True}, {"predict_v": True}))
    assert [form.prediction for form in (noise_form, image_form, velocity_form)] == ["noise", "image", "velocity"]
    eps, level, x = gaussian_denoiser(noise_form), level_of(noise_form), normal(1, 3, 4, 4)

    def x0(x, t):
        return (x - (1 - level(t)).sqrt() * eps(x, t)) / level(t).sqrt()

    def velocity(x, t):
        return level(t).sqrt() * eps(x, t) - (1 - level(t)).sqrt() * x0(x, t)

    for clip in (False, True):
        wanted = ddim(eps, x, noise_form, clip_denoised=clip)
        torch.testing.assert_close(ddim(x0, x, image_form, clip_denoised=clip), wanted)
        torch.testing.assert_close(ddim(velocity, x, velocity_form, clip_denoised=clip), wanted)


@pytest.mark.parametrize("kind", ["ddim", "ddim eta", "ancestral"])
def test_a_sample_does_not_depend_on_its_neighbours(kind):
    schedule = schedule_of("ddim20")
    eps = gaussian_denoiser(schedule)

    def sample(rows):
        x = draw_noise([torch.Generator().manual_seed(row) for row in rows], (3, 4, 4))
        fresh = [torch.Generator().manual_seed(100 + row) for row in rows]
        if kind == "ancestral":
            return ancestral(eps, x, schedule, generators=fresh)
        return ddim(eps, x, schedule, eta=0.7 if kind == "ddim eta" else 0.0, generators=fresh)

    together = sample([0, 1, 2])
    assert together.dtype == torch.float32
    torch.testing.assert_close(sample([2, 0]), together[[2, 0]], atol=1e-6, rtol=0)
    torch.testing.assert_close(sample([1]), together[[1]], atol=1e-6, rtol=0)
    assert torch.equal(sample([0, 1, 2]), together)


def test_the_global_generator_is_never_used():
    schedule = schedule_of("ddim20")
    before = torch.get_rng_state()
    ddim(gaussian_denoiser(schedule), normal(1, 1, 2, 2), schedule, eta=1.0, generators=generators(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_needs_one_generator_per_image():
    schedule = schedule_of("ddim20")
    for given in (None, generators(3)):
        with pytest.raises(ValueError, match="one generator for each of the 2 images"):
            ddim(gaussian_denoiser(schedule), normal(2, 1, 2, 2), schedule, eta=0.5, generators=given)


def test_the_denoiser_sees_original_steps_from_high_to_low():
    seen = []
    ddim(lambda x, t: seen.append(t.tolist()) or x, normal(2, 1, 2, 2), schedule_of("ddim10"))
    assert seen == [[t, t] for t in range(900, -1, -100)]
    assert np.array_equal(schedule_of("ddim10").timesteps, np.arange(0, 1000, 100))
