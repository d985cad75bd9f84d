"""Multistep solvers in float64, where the exact solution is known."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.grid import quadratic_steps
from diffusionrig.diffusion.samplers import ddim, draw_noise, ipndm, unipc, unipc_weights
from diffusionrig.diffusion.schedule import Schedule, make_schedule
from diffusionrig.errors import UsageError

MEAN, SPREAD = 0.3, 0.2  # data of the Gaussian examples
SOLVERS = {"unipc3": unipc, "ipndm3": ipndm, "ipndm4": partial(ipndm, order=4)}
every_solver = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def schedule_of(count=8, **settings):
    return make_schedule(DiffusionConfig(**settings), quadratic_steps(1000, count))


def numbered(abar):
    """A schedule of any noise levels; the denoiser is told the index."""
    return Schedule(np.asarray(abar), np.arange(len(abar)))


def even_in_lambda(count, low=-3.0, high=3.0):
    return numbered(1 / (1 + np.exp(-2 * np.linspace(high, low, count))))


def even_in_ratio(count, low=0.05, high=20.0):
    """sqrt(1 - abar) / sqrt(abar) in equal steps, where the weights of iPNDM are exact."""
    return numbered(1 / (1 + np.linspace(low, high, count) ** 2))


def level_of(schedule):
    """Model time -> abar, as a function on tensors."""
    table = torch.zeros(1001, dtype=torch.float64)
    table[torch.as_tensor(schedule.timesteps).long()] = torch.from_numpy(schedule.abar)
    return lambda t: table[t.long()].view(-1, 1, 1, 1)


def gaussian_denoiser(schedule):
    """Data N(MEAN, SPREAD^2): E[eps | x] = sqrt(1 - abar) (x - sqrt(abar) MEAN) / (abar SPREAD^2 + 1 - abar)."""
    level = level_of(schedule)

    def eps(x, t):
        abar = level(t).to(x.dtype)
        return (1 - abar).sqrt() * (x - abar.sqrt() * MEAN) / (abar * SPREAD**2 + 1 - abar)

    return eps


def gaussian_flow(x, start, end):
    """Where the exact flow of Gaussian data takes ``x`` from abar ``start`` to ``end``: it keeps the standard score."""
    scale = math.sqrt((end * SPREAD**2 + 1 - end) / (start * SPREAD**2 + 1 - start))
    return math.sqrt(end) * MEAN + scale * (x - math.sqrt(start) * MEAN)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seen(solver, denoiser, x, schedule, **settings):
    """The states (N of them, from noisy to clean) that the denoiser was shown, and the result."""
    states = []

    def watched(x, t):
        states.append(x)
        return denoiser(x, t)

    return states, solver(watched, x, schedule, **settings)


@pytest.mark.parametrize("clip", [False, True])
def test_order_one_is_ddim(clip):
    schedule, x = schedule_of(), normal(2, 3, 4, 4)
    denoiser = gaussian_denoiser(schedule)
    states, wanted = seen(ddim, denoiser, x, schedule, clip_denoised=clip)
    torch.testing.assert_close(ipndm(denoiser, x, schedule, order=1, clip_denoised=clip), wanted, atol=1e-12, rtol=0)
    # UniPC begins with order 1; its corrector acts from the second step on.
    torch.testing.assert_close(seen(unipc, denoiser, x, schedule, clip_denoised=clip)[0][1], states[1])


@every_solver
@pytest.mark.parametrize("clip", [False, True])
def test_a_perfect_denoiser_recovers_the_image_exactly(solver, clip):
    schedule, image = schedule_of(), normal(2, 3, 4, 4).clamp(-1, 1)
    level = level_of(schedule)
    point = lambda x, t: (x - level(t).sqrt() * image) / (1 - level(t)).sqrt()  # noqa: E731
    torch.testing.assert_close(solver(point, normal(2, 3, 4, 4, seed=1), schedule, clip_denoised=clip), image, atol=1e-9, rtol=0)


def test_the_last_step_reaches_the_clean_image():
    schedule, x, estimates = schedule_of(), normal(1, 3, 4, 4), []
    noise = lambda x, t: torch.sin(3 * x + t.view(-1, 1, 1, 1))  # noqa: E731
    result = unipc(noise, x, schedule, callback=lambda *args: estimates.append(args))
    assert torch.equal(result, estimates[-1][2])
    assert [(done, total) for done, total, _ in estimates] == [(k, 8) for k in range(1, 9)]
    states, result = seen(ipndm, noise, x, schedule, clip_denoised=False)
    newest = [noise(state, torch.tensor([schedule.timesteps[step]])) for step, state in enumerate(reversed(states[-3:]))]
    slope = (23 * newest[0] - 16 * newest[1] + 5 * newest[2]) / 12
    abar = schedule.abar[0]
    torch.testing.assert_close(result, (states[-1] - math.sqrt(1 - abar) * slope) / math.sqrt(abar), atol=1e-12, rtol=0)


@every_solver
def test_clamped_results_stay_in_range(solver):
    result = solver(lambda x, t: 2 * torch.sin(9 * x), normal(1, 3, 4, 4), schedule_of())
    assert result.abs().max() <= 1


def slopes(solver, grid, counts=(32, 64, 128)):
    """Observed orders: how the largest error on the way falls when steps are doubled, the last two strides left out."""
    errors = []
    for count in counts:
        schedule, x = grid(count), normal(1, 1, 1, 20)
        states = seen(solver, gaussian_denoiser(schedule), x, schedule, clip_denoised=False)[0]
        exact = [gaussian_flow(x, schedule.abar[-1], abar) for abar in schedule.abar[::-1]]
        errors.append(max((state - true).abs().max().item() for state, true in list(zip(states, exact))[:-2]))
    return [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]


@pytest.mark.parametrize(("solver", "order"), [(ddim, 1), (unipc, 4)])
def test_the_error_falls_with_the_stated_order(solver, order):
    """The corrector of UniPC adds one to the order of its predictor."""
    assert all(slope > order - 0.25 for slope in slopes(solver, even_in_lambda)), slopes(solver, even_in_lambda)
    assert all(slope < 1.2 for slope in slopes(solver, even_in_lambda)) == (order == 1)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_ipndm_has_its_order_on_equal_steps_and_two_elsewhere(order):
    """After the start, which is of lower order, the state moves by the exact integral of polynomials below the order."""
    schedule = even_in_ratio(10)
    ratio = np.sqrt(1 / schedule.abar - 1)
    slope = np.polynomial.Polynomial([0.3, -0.2, 0.05, 0.01][:order])
    states, _ = seen(partial(ipndm, order=order), lambda x, t: torch.full_like(x, slope(ratio[int(t[0])])), normal(1, 1, 1, 1),
                     schedule, clip_denoised=False)
    scaled = [state.item() / math.sqrt(schedule.abar[9 - k]) for k, state in enumerate(states)]
    moves = [after - before for before, after in itertools.pairwise(scaled)]
    exact = [slope.integ()(ratio[8 - k]) - slope.integ()(ratio[9 - k]) for k in range(9)]
    assert moves[order - 1:] == pytest.approx(exact[order - 1:], abs=1e-11)
    assert abs(moves[0] - exact[0]) > 1e-3
    assert all(found > 1.75 for found in slopes(partial(ipndm, order=order), even_in_lambda))


def test_unipc_is_exact_for_clean_images_quadratic_in_lambda():
    """sigma scaled, the state moves by the integral of e^lambda x_0(lambda), by predictions and corrections of order 3 alike."""
    schedule = even_in_lambda(8)
    lam, sigma = 0.5 * np.log(schedule.snr), np.sqrt(1 - schedule.abar)
    image = np.polynomial.Polynomial([0.3, -0.2, 0.05])
    states, _ = seen(unipc, lambda x, t: torch.full_like(x, image(lam[int(t[0])])), normal(1, 1, 1, 1),
                     Schedule(schedule.abar, schedule.timesteps, "image"), clip_denoised=False)
    scaled = [state.item() / sigma[7 - k] for k, state in enumerate(states)]
    nodes, shares = np.polynomial.legendre.leggauss(20)
    for k in (3, 4):  # the last predictor of order 3 leaves from step 3
        low, high = lam[7 - k], lam[6 - k]
        inside = low + (high - low) * (nodes + 1) / 2
        move = (high - low) / 2 * float(np.sum(shares * np.exp(inside) * image(inside)))
        assert scaled[k + 1] - scaled[k] == pytest.approx(move, rel=1e-10)


def test_weights_of_unipc():
    """In closed form for two older estimates; for h -> 0 the methods of Adams and Bashforth, and of Adams and Moulton."""
    assert unipc_weights([-1.0], 0.3) == [0.5]
    fall = math.exp(-1)
    first, second = fall / (1 - fall), (1 - 2 * fall) / (1 - fall)
    assert unipc_weights([-1.0, -2.0], 1.0) == pytest.approx([2 * first + second, -first - second])
    assert unipc_weights([-1.0, -2.0], 1e-3) == pytest.approx([4 / 3, -5 / 6], abs=1e-3)
    assert unipc_weights([-1.0, 1.0], 1e-3) == pytest.approx([1 / 12, 5 / 12], abs=1e-3)


@every_solver
def test_a_sample_does_not_depend_on_its_neighbours(solver):
    schedule = schedule_of()

    def sample(rows):
        x = draw_noise([torch.Generator().manual_seed(row) for row in rows], (3, 4, 4))
        return solver(gaussian_denoiser(schedule), x, schedule)

    together = sample([0, 1, 2])
    assert together.dtype == torch.float32
    torch.testing.assert_close(sample([2, 0]), together[[2, 0]], atol=1e-6, rtol=0)
    assert torch.equal(sample([0, 1, 2]), together)


@every_solver
def test_one_call_a_step_from_high_to_low(solver):
    times = []
    solver(lambda x, t: times.append(t.tolist()) or x, normal(2, 1, 2, 2), schedule_of(6))
    assert times == [[t, t] for t in (999, 639, 360, 160, 40, 0)]


@every_solver
def test_all_kinds_of_prediction_sample_alike(solver):
    noise_form, velocity_form = schedule_of(), schedule_of(predict_v=True)
    eps, level, x = gaussian_denoiser(noise_form), level_of(noise_form), normal(1, 3, 4, 4)

    def velocity(x, t):
        x0 = (x - (1 - level(t)).sqrt() * eps(x, t)) / level(t).sqrt()
        return level(t).sqrt() * eps(x, t) - (1 - level(t)).sqrt() * x0

    torch.testing.assert_close(solver(velocity, x, velocity_form), solver(eps, x, noise_form))


@every_solver
def test_it_comes_closer_than_as_many_steps_of_ddim(solver):
    """Gaussian data on the published schedule, against the exact flow."""
    schedule, x = schedule_of(16), normal(1, 1, 1, 50)
    exact = gaussian_flow(x, schedule.abar[-1], 1.0)
    error, plain = ((one(gaussian_denoiser(schedule), x, schedule, clip_denoised=False) - exact).abs().max().item()
                    for one in (solver, ddim))
    assert error < 0.6 * plain


@pytest.mark.parametrize("order", [0, 5])
def test_orders_that_are_not_built_are_refused(order):
    with pytest.raises(ValueError, match=f"not {order}"):
        ipndm(lambda x, t: x, normal(1, 1, 2, 2), schedule_of(), order=order)


def test_the_grid_has_these_steps():
    assert quadratic_steps(1000, 2).tolist() == [0, 999]
    assert quadratic_steps(1000, 8).tolist() == [0, 20, 82, 183, 326, 510, 734, 999]
    assert quadratic_steps(1000, 10).tolist() == [0, 12, 49, 111, 197, 308, 444, 604, 789, 999]
    assert quadratic_steps(100, 6).tolist() == [0, 4, 16, 36, 63, 99]


@pytest.mark.parametrize("total", [25, 1000])
def test_every_count_gives_as_many_steps_with_both_ends(total):
    for count in range(2, total + 1):
        steps = quadratic_steps(total, count)
        assert len(steps) == count
        assert (steps[0], steps[-1]) == (0, total - 1)
        assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize("count", [0, 1, 1001])
def test_counts_that_do_not_fit_are_refused(count):
    with pytest.raises(UsageError, match=f"--steps {count} .* 2 to 1000"):
        quadratic_steps(1000, count)
