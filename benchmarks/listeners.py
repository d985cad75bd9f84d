"""What a listener's history is worth, and how late reactions come: further clips of the people that a generator was trained on.

    make demo-react
    python benchmarks/listeners.py [--runs log/demo-react/runs] [--systems stream faceais unifr perfrdiff] [--samples 10]

Writes the demo's corpus again with twice as many clips of every pair, which changes none of the first ones, and lets each generator
answer the further ones of the training people online, told of the listener's own earlier clips, of none, and of another person's.

MSE: of attributes and of coefficients about the true reaction. FRCorr, FRDist: mode fixed, among the further clips. Lag: how many
frames a reaction has to be moved by to fit the true one best (mean correlation of all attributes that move, at most 24 frames),
median of the samples; the share of items within 2 frames and within 12.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffusionrig.demo.commands import flags, run_step
from diffusionrig.io.files import read_json
from diffusionrig.reactions.corpus import Corpus, Item
from diffusionrig.reactions.generators.clips import Clips, person_of
from diffusionrig.reactions.generators.running import load_generator
from diffusionrig.reactions.interface import ListenerHistory
from diffusionrig.reactions.metrics.concordance import frcorr
from diffusionrig.reactions.metrics.distance import frdist
from diffusionrig.reactions.metrics.warping import warp

REACH, NEAR, PATCH = 24, 2, 12


def lag(made: np.ndarray, true: np.ndarray) -> int:
    """Frames by which ``made`` (T, C) comes after ``true``."""

    def fit(shift: int) -> float:
        first, second = (made[shift:], true[:len(true) - shift]) if shift >= 0 else (made[:shift], true[-shift:])
        first, second = first - first.mean(0), second - second.mean(0)
        spread = np.sqrt((first ** 2).sum(0) * (second ** 2).sum(0))
        return float(((first * second).sum(0)[spread > 1e-6] / spread[spread > 1e-6]).mean()) if (spread > 1e-6).any() else -1.0

    return max(range(-REACH, REACH + 1), key=fit)


def further(corpus: Corpus, known: int) -> tuple[list[Item], Clips]:
    """Items of the training people that training has not seen, and the reader of clips."""
    split = corpus.split("train")
    return [item for item in split.items if int(item.listener.clip) > known], Clips(split)


def histories(items: Sequence[Item], clips: Clips, known: int, which: str) -> list[ListenerHistory | None]:
    """What is told of each item's listener: the ``own`` earlier clips, ``another`` person's, or ``none``."""
    people: dict[str, list] = {}
    for item in clips.split.items:
        if int(item.listener.clip) <= known:
            people.setdefault(person_of(item.listener), []).append(item.listener)
    names = list(people)
    told: list[ListenerHistory | None] = []
    for item in items:
        person = person_of(item.listener)
        if which == "another":
            person = names[(names.index(person) + len(names) // 2) % len(names)]
        heard = [clips(clip) for clip in people[person]]
        told.append(None if which == "none" else ListenerHistory(
            person, [clip.emotion.numpy() for clip in heard], [(clip.coefficients + clips.mean_face).numpy() for clip in heard]))
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("log/demo-react/runs"), help="folder of a run for each system")
    parser.add_argument("--systems", nargs="+", default=["stream", "faceais", "unifr", "perfrdiff"])
    parser.add_argument("--samples", type=int, default=10)
    args = parser.parse_args()
    made_as = read_json(args.runs.parent / "corpus" / "request.json")
    options = made_as.get("options", made_as)
    known = int(options["clips"])
    print("| history | MSE attributes | MSE coefficients | FRCorr | FRDist | lag, frames | within 2 | within 12 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as place:
        run_step("react synth", *flags(output_dir=place, seed=options["seed"], frames=options["frames"], au_mode=options["au_mode"],
                                       micro=options["micro"], audio=options["audio"], clips=2 * known))
        items, clips = further(Corpus.open(place), known)
        rows = {item.index: number for number, item in enumerate(items)}
        neighbours = [np.array([rows[j] for j in clips.split.neighbours(item.index) if j in rows]) for item in items]
        faces = [clips(item.listener) for item in items]
        true, truth = (np.stack([part.numpy() for part in parts]) for parts in
                       zip(*((face.emotion, face.coefficients + clips.mean_face) for face in faces)))
        for system in args.systems:
            generator = load_generator(args.runs / system, "cpu")
            for which in ("own", "none", "another"):
                made = [generator.generate(clips.speaker(item.speaker), told, args.samples, 0, "online")
                        for item, told in zip(items, histories(items, clips, known, which))]
                shown = np.stack([one.emotion for one in made])
                late = np.array([np.median([lag(sample, own) for sample in samples]) for samples, own in zip(shown, true)])
                error = np.square(shown - true[:, None]).mean()
                faces_error = ("-" if made[0].coefficients is None else
                               f"{np.square(np.stack([one.coefficients for one in made]) - truth[:, None]).mean():.4f}")
                distance = frdist(shown, true, neighbours, "fixed", warp).value
                print(f"| {system}, {which} | {error:.4f} | {faces_error} | {frcorr(shown, true, neighbours, 'fixed').value:.3f} | "
                      f"{distance:.2f} | {np.median(abs(late)):.0f} | {(abs(late) <= NEAR).mean():.0%} | "
                      f"{(abs(late) <= PATCH).mean():.0%} |", flush=True)


if __name__ == "__main__":
    main()
