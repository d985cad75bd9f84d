"""The time grid of few-step solvers: which steps of the full schedule ``--steps N`` visits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusionrig.errors import UsageError


def quadratic_steps(total: int, count: int) -> NDArray[np.int64]:
    """``count`` sorted steps out of 0..total-1: step j is (total-1) (j / (count-1))^2, rounded half to even, and j at least.

    Both ends are visited, and steps grow with the noise. For 1000 steps, 8 of them: 0, 20, 82, 183, 326, 510, 734, 999. With 10
    calls iPNDM and UniPC came closer to the solution with all steps on it than on even steps of time, of log SNR, and of the
    seventh root of the noise level; ``benchmarks/solvers.py`` measures it beside the published strides.
    """
    if not 2 <= count <= total:
        raise UsageError(f"--steps {count} is not possible: the schedule has {total} steps, so ask for 2 to {total}.")
    index = np.arange(count)
    return np.maximum(index, np.rint((total - 1) * (index / (count - 1)) ** 2)).astype(np.int64)
