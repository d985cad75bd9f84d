"""Power-function averages of weights: their profiles, and any other width as a combination of them (Karras et al. 2024, EDM2,
arXiv 2312.02696, section 3 and appendix C).

A profile says how much the weights after update tau count in the average after update t: p(tau) is proportional to tau^gamma on
[0, t], so that the average always spans the same share of the run. ``sigma_rel`` is that share: the standard deviation of the
profile in units of t.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from diffusionrig.errors import UsageError

WIDEST = 12**-0.5  # sigma_rel of the plain mean, gamma = 0
NARROWEST = 0.001

Profile = tuple[float, float]  # (updates t, exponent gamma)


def gamma_of(sigma_rel: float) -> float:
    """The exponent of the profile of width ``sigma_rel``: the root above zero of (g + 1) / ((g + 2)^2 (g + 3)) = sigma_rel^2."""
    if not NARROWEST <= sigma_rel < WIDEST:
        raise UsageError(f"A relative width of {sigma_rel:g} does not exist: sigma_rel runs from {NARROWEST} (nearly the last "
                         f"weights) up to {WIDEST:.4f} (their mean over the whole run).")
    inverse = sigma_rel**-2
    return float(np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse]).real.max())


def parse_widths(text: str) -> tuple[float, ...]:
    """``0.05,0.10`` -> the relative widths to average over; UsageError for anything else."""
    try:
        widths = tuple(float(word) for word in text.split(","))
    except ValueError:
        raise UsageError(f"--ema_sigma_rel {text!r} is not understood; give widths such as 0.05,0.10.") from None
    if len(set(widths)) < max(len(widths), 2):
        raise UsageError(f"--ema_sigma_rel {text!r} must name two different widths or more; other widths are made of them later.")
    for width in widths:
        gamma_of(width)
    return widths


def sigma_rel_of(gamma: float) -> float:
    """The inverse of :func:`gamma_of`."""
    return float(np.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2))


def decay_of(gamma: float, updates: int) -> float:
    """The decay of the ``updates``-th update (counted from 1): (1 - 1/t)^(gamma + 1).

    The weights after update i then count (i^(gamma+1) - (i-1)^(gamma+1)) / t^(gamma+1): the profile's integral over update i,
    with nothing left of where the average began.
    """
    return float((1 - 1 / updates) ** (gamma + 1))


def inner_product(first: Profile, second: Profile) -> float:
    """The integral of the product of two profiles, in closed form."""
    (t, gamma), (later, other) = sorted((first, second))
    return (gamma + 1) * (other + 1) / (gamma + other + 1) * (t / later) ** other / later


def combine(have: Sequence[Profile], want: Profile) -> tuple[NDArray[np.float64], float]:
    """Factors, one for each profile of ``have``, whose combination is nearest to the profile ``want``, and what is left over.

    Least squares over the functions, with factors that add up to 1, since averages of equal weights must be these weights.
    What is left over is relative: 0 means that the combination is the profile, 1 that nothing of it was met.
    """
    count = len(have)
    # Scaled to unit norm and to unit time: the numbers stay near 1 whatever the length of the run.
    scaled = [(t / want[0], gamma) for t, gamma in have]
    target = (1.0, want[1])
    norms = np.sqrt([inner_product(profile, profile) for profile in scaled])
    gram = np.array([[inner_product(a, b) for b in scaled] for a in scaled]) / np.outer(norms, norms)
    wanted = np.array([inner_product(profile, target) for profile in scaled]) / norms
    # Stationary point of |sum x p - want|^2 under sum x = 1 (a Lagrange multiplier). Neighbours in a long run are nearly equal, so
    # the system may be singular within rounding: the shortest solution also amplifies the rounding of stored weights least.
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = gram
    system[:count, count] = system[count, :count] = 1 / norms
    solution = np.linalg.lstsq(system, np.append(wanted, 1.0), rcond=1e-12)[0][:count]
    whole = inner_product(target, target)
    left = (whole - 2 * solution @ wanted + solution @ gram @ solution) / whole
    factors = solution / norms
    return factors / factors.sum(), float(np.sqrt(max(left, 0.0)))
