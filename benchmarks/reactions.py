"""Speed of the reaction measures: exact and fast against plain loops over pairs, on 8 items of 10 reactions of 750 frames.

    python benchmarks/reactions.py [--threads 2] [--device cpu]

The plain side is measured on a part of the work (named in its row) and scaled to the whole: concordances and correlations channel
by channel through np.corrcoef, warpings with a table of costs and a Python loop over its cells. Both sides give the same numbers;
the largest difference is printed. Ratios are of processor time, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from diffusionrig.reactions.metrics.distance import GROUPS
from diffusionrig.reactions.metrics.evaluation import measures
from diffusionrig.reactions.metrics.truth import Truth

ITEMS, SAMPLES, FRAMES = 8, 10, 750
NEIGHBOURS = [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2], [0, 1, 3], [4, 5], [4, 5], [6], [7]]  # 20 pairs


def smooth(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Signals in 0..1 that move as faces do: noise averaged over 30 frames."""
    noise = random.standard_normal((*shape, FRAMES + 29, 25)).cumsum(-2)
    signal = noise[..., 29:, :] - np.concatenate([np.zeros((*shape, 1, 25)), noise[..., :FRAMES - 1, :]], -2)
    return (0.5 + 0.15 * signal / signal.std()).clip(0, 1).astype(np.float32)


def median_seconds(work: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Medians of the time on the clock and of the processor's."""
    clock, processor = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    return statistics.median(clock), statistics.median(processor)


def plain_concordance(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for c in range(25):
        a, b = x[:, c], y[:, c]
        r = np.nan_to_num(np.corrcoef(a, b)[0, 1])
        total += 2 * r * a.std() * b.std() / (a.var() + b.var() + (a.mean() - b.mean()) ** 2 + 1e-8)
    return total / 25


def plain_warping(x: np.ndarray, y: np.ndarray) -> float:
    costs = np.square(x[:, None].astype(np.float64) - y[None]).sum(-1).tolist()
    above = [0.0] + [np.inf] * len(y)
    for row in costs:
        here = [np.inf]
        for j, cost in enumerate(row):
            here.append(cost + min(here[j], above[j + 1], above[j]))
        above = here
    return above[-1] ** 0.5


def plain_lag(p: np.ndarray, s: np.ndarray) -> int:
    scores = []
    for lag in range(-49, 50):
        a, b = (p[lag:], s[:len(s) - lag]) if lag > 0 else (p[:len(p) + lag], s[-lag:])
        scores.append(np.mean([np.corrcoef(a[:, c], b[:, c])[0, 1] for c in range(25)]))
    return int(np.argmax(scores)) - 49


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random = np.random.default_rng(0)
    speakers, listeners, made = smooth(random, ITEMS), smooth(random, ITEMS), smooth(random, ITEMS, SAMPLES)
    truth = Truth(speakers, listeners, [np.array(ids) for ids in NEIGHBOURS], "")
    functions = measures(truth, args.device, args.threads)
    pairs = SAMPLES * sum(map(len, NEIGHBOURS))
    # The last item has one neighbour, so a plain evaluation of its first samples is an answer to compare with.
    start = time.process_time()
    concordances = [plain_concordance(listeners[7], p) for p in made[7]]
    plain = {"FRCorr": ((time.process_time() - start) * pairs / SAMPLES, f"{SAMPLES} of {pairs} pairs")}
    start = time.process_time()
    distances = [sum(w * plain_warping(p[:, part], listeners[7][:, part]) for part, w in GROUPS) for p in made[7, :2]]
    plain["FRDist"] = ((time.process_time() - start) * pairs / 2, f"2 of {pairs} pairs")
    start = time.process_time()
    lag = plain_lag(made[7, 0], speakers[7])
    plain["FRSyn"] = ((time.process_time() - start) * ITEMS * SAMPLES, f"1 of {ITEMS * SAMPLES} reactions")
    print(f"{ITEMS} items, {SAMPLES} reactions, {FRAMES} frames, {pairs} pairs; {args.threads} threads, device {args.device}; "
          f"medians of {args.repeats}")
    print(f"{'measure':<9}{'seconds':>9}{'processor':>11}{'plain loops':>13}{'times':>8}  measured on")
    for name, function in functions.items():
        mode = "fixed" if name == "FRSyn" else "official"
        function(made[:1], mode)
        clock, processor = median_seconds(lambda function=function, mode=mode: function(made, mode), args.repeats)
        slow, part = plain.get(name, (None, ""))
        ratio = f"{slow:>13.1f}{slow / processor:>8.0f}  {part}" if slow else ""
        print(f"{name:<9}{clock:>9.3f}{processor:>11.3f}{ratio}")
    last = Truth(speakers[7:], listeners[7:], [np.array([0])], "")
    few = measures(last, args.device, args.threads)
    print("largest difference: FRCorr "
          f"{abs(few['FRCorr'](made[7:], 'official').value - sum(concordances)):.1e}, FRDist "
          f"{abs(few['FRDist'](made[7:, :2], 'official').value - sum(distances)):.1e}, FRSyn "
          f"{abs(few['FRSyn'](made[7:], 'official').value - abs(lag)):.0f}")


if __name__ == "__main__":
    main()
