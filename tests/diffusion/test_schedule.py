"""Noise schedules and spacing against published tables."""

import math

import numpy as np
import pytest
import torch

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.schedule import full_betas, gather, make_schedule
from diffusionrig.diffusion.spacing import kept_steps
from diffusionrig.errors import UsageError

# t: abar, SNR, P2 weight of the linear schedule with 1000 steps
LINEAR = {
    0: (0.9999, 9999, 0.00010),
    25: (0.990965, 109.7, 0.00903),
    50: (0.969951, 32.28, 0.0300),
    100: (0.895142, 8.537, 0.1049),
    150: (0.785887, 3.670, 0.2141),
    200: (0.656347, 1.910, 0.3437),
    300: (0.394011, 0.650, 0.6060),
    500: (0.077797, 0.0844, 0.9222),
    700: (0.006868, 0.00692, 0.9931),
    950: (1.0604e-4, 1.06e-4, 0.9999),
    999: (4.0358e-5, 4.04e-5, 1.0000),
}


@pytest.mark.parametrize("t", LINEAR)
def test_linear_table(t):
    schedule = make_schedule(DiffusionConfig())
    abar, snr, p2 = LINEAR[t]
    assert schedule.abar[t] == pytest.approx(abar, rel=1e-4 if abar < 0.01 else 0, abs=5e-7 if abar > 0.01 else 0)
    assert schedule.snr[t] == pytest.approx(snr, rel=6e-3)
    assert schedule.p2_weights(1.0, 1.0)[t] == pytest.approx(p2, abs=6e-5)


@pytest.mark.parametrize("respacing", ["", "ddim20", "7,3"])
@pytest.mark.parametrize("noise_schedule", ["linear", "cosine"])
def test_p2_weight_is_one_minus_abar(noise_schedule, respacing):
    schedule = make_schedule(DiffusionConfig(noise_schedule=noise_schedule, timestep_respacing=respacing))
    assert np.abs(schedule.p2_weights(1.0, 1.0) - (1 - schedule.abar)).max() < 1e-15
    assert np.abs(schedule.p2_weights(2.0, 0.5) - 1 / np.sqrt(2 + schedule.snr)).max() < 1e-15


def test_shares_of_the_p2_weight():
    weights = make_schedule(DiffusionConfig()).p2_weights(1.0, 1.0)
    assert weights[:100].sum() / weights.sum() == pytest.approx(0.005, abs=5e-4)
    assert weights[:200].sum() / weights.sum() == pytest.approx(0.035, abs=5e-4)


@pytest.mark.parametrize("noise_schedule", ["linear", "cosine"])
def test_min_snr_weighs_the_clean_image_alike_for_every_prediction(noise_schedule):
    def weights(**prediction):
        return make_schedule(DiffusionConfig(noise_schedule=noise_schedule, **prediction)).min_snr_weights(5.0)

    snr = make_schedule(DiffusionConfig(noise_schedule=noise_schedule)).snr
    image = weights(predict_xstart=True)
    assert np.array_equal(image, np.minimum(snr, 5))
    # The published forms: min(SNR, gamma)/SNR on the noise, min(SNR, gamma)/(SNR + 1) on the velocity.
    assert np.allclose(weights(), np.minimum(1, 5 / snr), rtol=1e-12)
    assert np.allclose(weights(predict_v=True), image / (snr + 1), rtol=1e-12)


def test_golden_min_snr_weights_of_the_noise():
    weights = make_schedule(DiffusionConfig()).min_snr_weights(5.0)
    golden = {0: 0.0005, 25: 0.0456, 50: 0.155, 100: 0.586, 150: 1.0, 999: 1.0}
    assert {t: weights[t] for t in golden} == pytest.approx(golden, rel=4e-3)
    assert weights[:100].sum() / weights.sum() == pytest.approx(0.022, abs=5e-4)


def test_betas():
    linear = full_betas("linear", 1000)
    assert linear.dtype == np.float64
    assert linear[[0, -1]] == pytest.approx([1e-4, 0.02], rel=1e-14)
    assert full_betas("linear", 250)[[0, -1]] == pytest.approx([4e-4, 0.08], rel=1e-14)
    cosine = full_betas("cosine", 1000)
    assert cosine[-1] == 0.999
    level = math.cos((501 / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    assert np.cumprod(1 - cosine)[500] == pytest.approx(level, rel=1e-10)


SPACINGS = {
    "ddim10": list(range(0, 1000, 100)),
    "ddim12": list(range(0, 1000, 84)),
    "ddim20": list(range(0, 1000, 50)),
    "ddim25": list(range(0, 1000, 40)),
    "ddim50": list(range(0, 1000, 20)),
    "10": [0, 111, 222, 333, 444, 555, 666, 777, 888, 999],
    "12": [0, 91, 182, 272, 363, 454, 545, 636, 727, 817, 908, 999],
    "20": [0, 53, 105, 158, 210, 263, 315, 368, 421, 473, 526, 578, 631, 684, 736, 789, 841, 894, 946, 999],
    "": list(range(1000)),
}


@pytest.mark.parametrize("text", SPACINGS)
def test_spacing_tables(text):
    assert kept_steps(1000, text).tolist() == SPACINGS[text]


def test_sections():
    steps = kept_steps(1000, "10,15,20").tolist()
    assert len(steps) == 45
    assert (steps[:2], steps[9]) == ([0, 37], 333)
    assert (steps[10:12], steps[24]) == ([334, 358], 666)
    assert (steps[25:27], steps[44]) == ([667, 684], 999)
    assert kept_steps(10, "1,1,1").tolist() == [0, 4, 7]  # the first section is one longer
    assert kept_steps(7, "4,3").tolist() == list(range(7))


def test_which_even_strides_exist():
    impossible = []
    for count in range(1, 56):
        try:
            steps = kept_steps(1000, f"ddim{count}")
        except UsageError:
            impossible.append(count)
        else:
            assert len(steps) == count
            assert len(set(np.diff(steps))) == 1
    assert impossible == [1, 37, 41, 43, 45, 47, 49, 51, 52, 54, 55]


@pytest.mark.parametrize(("text", "words"), [
    ("ddim37", r"ddim37.* gives 37; the nearest possible is ddim36"),
    ("ddim1", "the nearest possible is ddim2"),
    ("ddim5000", "the nearest possible is ddim1000"),
    ("ddimx", "is not understood"),
    ("20 steps", "is not understood"),
    ("1", "keeps a single step"),
    ("0,5", "section 1 has 500 steps, 0 cannot"),
    ("600,2", "section 1 has 500 steps, 600 cannot"),
])
def test_impossible_spacings_are_refused(text, words):
    with pytest.raises(UsageError, match=words):
        make_schedule(DiffusionConfig(timestep_respacing=text))


@pytest.mark.parametrize("text", ["ddim20", "10,15,20", "12"])
def test_spaced_tables_are_rebuilt_from_the_kept_abar(text):
    full, spaced = make_schedule(DiffusionConfig()), make_schedule(DiffusionConfig(timestep_respacing=text))
    steps = kept_steps(1000, text)
    assert np.array_equal(spaced.abar, full.abar[steps])
    assert np.allclose(np.cumprod(1 - spaced.betas), spaced.abar, rtol=1e-12)
    assert np.array_equal(spaced.snr, full.snr[steps])
    assert spaced.abar_prev[0] == 1
    # q(x_{t-1} | x_t, x_0) composed with q(x_t | x_0) must give q(x_{t-1} | x_0): mean and variance, by algebra.
    mean = spaced.posterior_mean_x0 + spaced.posterior_mean_xt * np.sqrt(spaced.abar)
    assert np.allclose(mean, np.sqrt(spaced.abar_prev), rtol=1e-10)
    variance = spaced.posterior_variance + spaced.posterior_mean_xt**2 * (1 - spaced.abar)
    assert np.allclose(variance, 1 - spaced.abar_prev, atol=1e-12)
    assert spaced.large_variance[0] == spaced.posterior_variance[1]
    assert np.array_equal(spaced.large_variance[1:], spaced.betas[1:])


def test_model_time():
    index = torch.tensor([0, 3, 19])
    raw = make_schedule(DiffusionConfig(timestep_respacing="ddim20")).model_time(index)
    assert raw.dtype == torch.int64
    assert raw.tolist() == [0, 150, 950]
    short = DiffusionConfig(diffusion_steps=400, timestep_respacing="ddim20", rescale_timesteps=True)
    scaled = make_schedule(short).model_time(index)
    assert scaled.dtype == torch.float32
    assert scaled.tolist() == [0.0, 150.0, 950.0]


def test_gather_takes_shape_and_dtype_from_the_image():
    table = np.array([0.1, 0.2, 0.3])
    values = gather(table, torch.tensor([2, 0]), torch.zeros(2, 3, 4, 4, dtype=torch.float64))
    assert values.shape == (2, 1, 1, 1)
    assert values.dtype == torch.float64
    assert values.flatten().tolist() == [0.3, 0.1]
