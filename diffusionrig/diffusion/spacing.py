"""Which steps of the full schedule are used: the published ``timestep_respacing`` strings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from diffusionrig.errors import UsageError


def kept_steps(total: int, text: str) -> NDArray[np.int64]:
    """Sorted indices into 0..total-1. ``text``: "" all, "ddimN" an even stride, "a,b,c" counts per equal section."""
    text = text.strip()
    if not text:
        steps = list(range(total))
    elif text.startswith("ddim"):
        steps = _even_stride(total, text)
    else:
        steps = _sections(total, text)
    if len(steps) < 2:
        raise UsageError(f"--timestep_respacing {text} keeps a single step; at least 2 are needed")
    return np.array(steps, dtype=np.int64)


def _even_stride(total: int, text: str) -> list[int]:
    """Multiples of the smallest stride that gives exactly N steps."""
    try:
        wanted = int(text[len("ddim"):])
    except ValueError:
        raise UsageError(f"--timestep_respacing {text!r} is not understood; write ddim20, for instance") from None
    for stride in range(1, total):
        if len(range(0, total, stride)) == wanted:
            return list(range(0, total, stride))
    possible = {len(range(0, total, stride)) for stride in range(1, total)}
    nearest = min(possible, key=lambda count: (abs(count - wanted), count))
    raise UsageError(f"--timestep_respacing {text}: no whole stride through {total} steps gives {wanted}; the nearest "
                     f"possible is ddim{nearest} (or write {wanted if wanted > 1 else nearest} for uneven spacing)")


def _sections(total: int, text: str) -> list[int]:
    """Cut the schedule in equal sections and spread the asked count over each, both its ends included."""
    try:
        counts = [int(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"--timestep_respacing {text!r} is not understood; write ddim20, or counts such as "
                         "10,15,20") from None
    size, extra = divmod(total, len(counts))
    steps, start = [], 0
    for section, count in enumerate(counts):
        length = size + (section < extra)
        if not 1 <= count <= length:
            raise UsageError(f"--timestep_respacing {text}: section {section + 1} has {length} steps, {count} cannot "
                             f"be taken from it; ask for 1 to {length}")
        stride = (length - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0  # added up, not multiplied: the published tables depend on this rounding
        for _ in range(count):
            steps.append(start + round(position))
            position += stride
        start += length
    return steps
