"""Cost of the four reaction generators in their small configurations: answering 30 seconds, training, memory.

    make demo-react
    python benchmarks/generators.py [--runs log/demo-react/runs] [--systems stream faceais unifr perfrdiff] [--rounds 3]

Takes the trained runs of the demo. A speaker of 750 frames (25 a second) is answered online by K = 10 reactions, and by one; every
system computes on while the speaker goes on, so the time of one reaction over its frames is what a live frame costs in the mean. Of
ten at once a frame of each costs less, since they go through the network together. Processor time, so that other work on the
machine does not count.
Training: updates a second of the last phase, as its report has it. Memory: peak of a process that answers with K = 10.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from edit import peak_mebibytes

from diffusionrig.io.files import read_json
from diffusionrig.reactions.features.logmel import BANDS
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.running import load_generator, newest_model
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS, ReactionGenerator, SpeakerClip

FRAMES = 750


def speaker() -> SpeakerClip:
    random = np.random.default_rng(0)
    waves = np.cumsum(random.normal(size=(FRAMES, ATTRIBUTES + COEFFICIENTS + BANDS)), 0).astype(np.float32) / 30
    emotion, coefficients, sound = np.split(waves, [ATTRIBUTES, ATTRIBUTES + COEFFICIENTS], 1)
    return SpeakerClip("someone", abs(emotion) % 1, coefficients, {AUDIO: sound})


def seconds(generator: ReactionGenerator, clip: SpeakerClip, k: int) -> float:
    start = time.process_time()
    made = generator.generate(clip, None, k, 0, "online")
    assert made.emotion.shape[:2] == (k, FRAMES)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("log/demo-react/runs"), help="folder of a run for each system")
    parser.add_argument("--systems", nargs="+", default=["stream", "faceais", "unifr", "perfrdiff"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    clip = speaker()
    if args.worker:
        seconds(load_generator(args.worker, "cpu"), clip, 10)
        print(peak_mebibytes())
        return
    print("| | 30 s, K = 10 | 30 s, K = 1 | a frame, K = 1 | a frame of each, K = 10 | ratio | training | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for system in args.systems:
        generator = load_generator(args.runs / system, "cpu")
        seconds(generator, clip, 1)  # warms up
        many, one = (statistics.median(seconds(generator, clip, k) for _ in range(args.rounds)) for k in (10, 1))
        report = read_json(newest_model(args.runs / system).parent / "report.json")
        peak = subprocess.run([sys.executable, __file__, "--worker", str(args.runs / system)], capture_output=True, text=True,
                              check=True).stdout
        rate = report["updates"] / report["seconds"]
        print(f"| {system} | {many:.1f} s | {one:.1f} s | {1000 * one / FRAMES:.2f} ms | {100 * many / FRAMES:.2f} ms | "
              f"{many / one / 10:.2f} | {rate:.1f} updates/s | {float(peak):.0f} MiB |", flush=True)


if __name__ == "__main__":
    main()
