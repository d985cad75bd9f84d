"""Forward process, conversions and losses."""

import math

import numpy as np
import pytest
import torch

from diffusionrig.diffusion.bound import pixel_log_likelihood
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.conversions import eps_from_x0, learned_log_variance, posterior_mean, x0_from_eps
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.errors import UsageError


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


INDEX = torch.tensor([0, 40, 500, 999])


def test_q_sample_and_back():
    process = GaussianDiffusion(DiffusionConfig())
    x0, noise = normal(4, 3, 5, 5).clamp(-1, 1), normal(4, 3, 5, 5, seed=1)
    x = process.q_sample(x0, INDEX, noise)
    for b, t in enumerate(INDEX.tolist()):
        abar = process.schedule.abar[t]
        torch.testing.assert_close(x[b], math.sqrt(abar) * x0[b] + math.sqrt(1 - abar) * noise[b])
    torch.testing.assert_close(x0_from_eps(process.schedule, x, INDEX, noise), x0, atol=1e-10, rtol=0)
    torch.testing.assert_close(eps_from_x0(process.schedule, x, INDEX, x0), noise, atol=1e-10, rtol=0)
    assert process.q_sample(x0.float(), INDEX, noise.float()).dtype == torch.float32


@pytest.mark.parametrize("p2", [False, True])
def test_loss_is_the_weighted_squared_error_of_each_image(p2):
    process = GaussianDiffusion(DiffusionConfig(p2_weight=p2))
    x0, noise, wrong = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1), normal(4, 3, 5, 5, seed=2)
    seen = []

    def model(x, t):
        seen.append((x, t))
        return noise + wrong

    terms = process.training_loss(model, x0, INDEX, noise)
    assert set(terms) == {"loss", "mse"}
    assert torch.equal(seen[0][0], process.q_sample(x0, INDEX, noise))
    assert torch.equal(seen[0][1], INDEX)
    for b, t in enumerate(INDEX.tolist()):
        weight = 1 - process.schedule.abar[t] if p2 else 1.0
        assert terms["loss"][b].item() == pytest.approx(weight * wrong[b].square().mean().item(), rel=1e-12)


@pytest.mark.parametrize("prediction", [{}, {"predict_xstart": True}, {"predict_v": True}], ids=["noise", "image", "velocity"])
def test_min_snr_gives_the_same_loss_for_the_same_error_of_the_clean_image(prediction):
    """Whatever the network predicts: with x_t given, an error e of the clean image costs min(SNR, 5) |e|^2."""
    process = GaussianDiffusion(DiffusionConfig(min_snr=5.0, **prediction))
    x0, noise, error = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1), normal(4, 3, 5, 5, seed=2)
    abar = torch.from_numpy(process.schedule.abar)[INDEX][:, None, None, None]

    def model(x, t):
        image = x0 + error
        eps = (x - abar.sqrt() * image) / (1 - abar).sqrt()
        return {"image": image, "noise": eps, "velocity": abar.sqrt() * eps - (1 - abar).sqrt() * image}[
            process.schedule.prediction]

    snr = (abar / (1 - abar)).flatten()
    expected = snr.clamp(max=5) * error.square().flatten(1).mean(1)
    torch.testing.assert_close(process.training_loss(model, x0, INDEX, noise)["loss"], expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("settings", "words"), [
    ({"min_snr": 5.0, "p2_weight": True}, "--min_snr 5 and --p2_weight True exclude each other"),
    ({"min_snr": 5.0, "use_kl": True}, "--min_snr 5 and --use_kl True exclude each other"),
    ({"min_snr": -1.0}, "--min_snr must be zero or more, not -1")])
def test_weights_that_exclude_each_other(settings, words):
    with pytest.raises(UsageError, match=words):
        DiffusionConfig(**settings)


def test_loss_of_a_spaced_process_shows_the_model_original_steps():
    process = GaussianDiffusion(DiffusionConfig(timestep_respacing="ddim10"))
    seen = []
    process.training_loss(lambda x, t: seen.append(t) or x, normal(2, 3, 4, 4), torch.tensor([1, 9]), normal(2, 3, 4, 4))
    assert seen[0].tolist() == [100, 900]


def test_x0_prediction_has_x0_as_target():
    process = GaussianDiffusion(DiffusionConfig(predict_xstart=True))
    x0, noise = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1)
    assert process.training_loss(lambda x, t: x0, x0, INDEX, noise)["loss"].abs().max() == 0
    off = process.training_loss(lambda x, t: x0 + 0.5, x0, INDEX, noise)["loss"]
    torch.testing.assert_close(off, torch.full((4,), 0.25, dtype=torch.float64))


def test_velocity_prediction_has_the_velocity_as_target():
    process = GaussianDiffusion(DiffusionConfig(predict_v=True))
    x0, noise = normal(4, 3, 5, 5), normal(4, 3, 5, 5, seed=1)
    share = torch.from_numpy(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))[INDEX][:, None, None, None]
    velocity = share.sqrt() * noise - (1 - share).sqrt() * x0
    assert process.training_loss(lambda x, t: velocity, x0, INDEX, noise)["loss"].abs().max() < 1e-24
    off = process.training_loss(lambda x, t: velocity + 0.5, x0, INDEX, noise)["loss"]
    torch.testing.assert_close(off, torch.full((4,), 0.25, dtype=torch.float64))


def test_bound_of_a_perfect_prediction_with_the_posterior_variance_is_zero():
    process = GaussianDiffusion(DiffusionConfig(use_kl=True))
    x0, noise = normal(4, 3, 5, 5).clamp(-1, 1), normal(4, 3, 5, 5, seed=1)
    smallest = -torch.ones_like(x0)  # fraction -1: the posterior variance
    terms = process.training_loss(lambda x, t: torch.cat([noise, smallest], 1), x0, INDEX, noise)
    assert terms["loss"][1:].abs().max() < 1e-8
    assert terms["loss"][0] > 0  # index 0 is the likelihood of 8-bit pixels, never certain
    worse = process.training_loss(lambda x, t: torch.cat([noise + 0.1, smallest], 1), x0, INDEX, noise)
    assert (worse["loss"][1:] > terms["loss"][1:]).all()


def test_bound_is_the_divergence_of_two_gaussians():
    process = GaussianDiffusion(DiffusionConfig(use_kl=True))
    schedule = process.schedule
    x0, noise, eps = normal(1, 1, 2, 2), normal(1, 1, 2, 2, seed=1), normal(1, 1, 2, 2, seed=2)
    index = torch.tensor([300])
    loss = process.training_loss(lambda x, t: eps, x0, index, noise)["loss"].item()
    x = process.q_sample(x0, index, noise)
    true = torch.distributions.Normal(posterior_mean(schedule, x, index, x0), schedule.posterior_variance[300]**0.5)
    model = torch.distributions.Normal(posterior_mean(schedule, x, index, x0_from_eps(schedule, x, index, eps)),
                                       schedule.betas[300]**0.5)
    divergence = torch.distributions.kl_divergence(true, model).mean().item()
    assert loss == pytest.approx(1000 * divergence / math.log(2), rel=1e-9)


def test_pixel_likelihoods_are_a_distribution():
    levels = torch.arange(256, dtype=torch.float64) * 2 / 255 - 1
    for mean, scale in ((0.1, -3.0), (-1.2, -2.0), (0.999, -5.0)):
        log_p = pixel_log_likelihood(levels, torch.full_like(levels, mean), torch.full_like(levels, scale))
        assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_learned_variance_runs_between_posterior_and_beta():
    schedule = GaussianDiffusion(DiffusionConfig()).schedule
    index = torch.tensor([500])
    ends = [learned_log_variance(schedule, index, torch.full((1, 1, 1, 1), v, dtype=torch.float64)).item()
            for v in (-1.0, 1.0)]
    assert ends == pytest.approx([math.log(schedule.posterior_variance[500]), math.log(schedule.betas[500])])


@pytest.mark.parametrize("rescale", [False, True])
def test_learned_variance_adds_the_bound_without_touching_the_mean(rescale):
    process = GaussianDiffusion(DiffusionConfig(p2_weight=True, rescale_learned_sigmas=rescale,
                                                timestep_respacing="ddim50"))
    plain = GaussianDiffusion(DiffusionConfig(p2_weight=True, timestep_respacing="ddim50"))
    x0, noise, index = normal(2, 3, 4, 4).clamp(-1, 1), normal(2, 3, 4, 4, seed=1), torch.tensor([3, 40])
    output = torch.cat([normal(2, 3, 4, 4, seed=2), 0.1 * normal(2, 3, 4, 4, seed=3)], 1).requires_grad_()
    terms = process.training_loss(lambda x, t: output, x0, index, noise)
    assert torch.equal(terms["loss"], terms["mse"] + terms["vb"])
    (gradient,) = torch.autograd.grad(terms["vb"].sum(), output, retain_graph=True)
    assert gradient[:, :3].abs().max() == 0
    assert gradient[:, 3:].abs().min() > 0
    mean = output[:, :3].detach()
    assert torch.equal(terms["mse"], plain.training_loss(lambda x, t: mean, x0, index, noise)["mse"])
    unscaled = GaussianDiffusion(DiffusionConfig(timestep_respacing="ddim50"))
    bound = unscaled.training_loss(lambda x, t: output, x0, index, noise)["vb"]
    torch.testing.assert_close(terms["vb"], bound * (0.05 if rescale else 1.0))


def test_wrong_number_of_channels_is_an_error():
    process = GaussianDiffusion(DiffusionConfig())
    with pytest.raises(ValueError, match="5 channels"):
        process.training_loss(lambda x, t: torch.zeros(1, 5, 2, 2), torch.zeros(1, 3, 2, 2), torch.tensor([1]),
                              torch.zeros(1, 3, 2, 2))


def test_nothing_draws_from_the_global_generator():
    before = torch.get_rng_state()
    state = np.random.get_state()[1].copy()
    GaussianDiffusion(DiffusionConfig()).training_loss(lambda x, t: x, torch.zeros(1, 3, 2, 2), torch.tensor([1]),
                                                       torch.zeros(1, 3, 2, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], state)
