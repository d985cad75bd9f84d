"""``diffusionrig react evaluate``: the measures of the REACT challenge, as published and mended."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from diffusionrig.cli.arguments import add_device_argument, positive_int

DESCRIPTION = """Score predicted reactions (items, samples, frames, 25) against a split: FRCorr, FRDist, FRDiv, FRVar, FRDvs,
FRSyn, and FRRea when frames are given. Mode official equals the published code, with its sums over samples and its degenerate
lags; mode fixed mends its defects and names each. Figures compare only between equal K, T, matrix and mode, so --against refuses
anything else. Never read FRDist alone: a face that does not move gets a good one. See docs/reactions-metrics.md."""
EXAMPLES = """  diffusionrig react evaluate log/mime.npy --data data/react --split val --output_dir log/scores/mime
  diffusionrig react evaluate log/ours.npy --data data/react --split val --mode fixed --against log/scores/mime/scores.json
  diffusionrig react evaluate log/ours.npy --data data/react --metrics FRCorr,FRDist --frames 736
  diffusionrig react evaluate log/ours.npy --data data/react --real_frames fid/real --made_frames fid/fake --renderer mesh"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("predictions", metavar="PRED.npy", help="predictions in mirrored order")
    parser.add_argument("--data", default="", metavar="DIR", help="the corpus")
    parser.add_argument("--split", default="val", help="train, val or test (val)")
    parser.add_argument("--variant", default="", help="person_specific takes PerFRDiff's lists and matrices")
    parser.add_argument("--mode", choices=["official", "fixed", "both"], default="both", help="(both)")
    parser.add_argument("--metrics", default="", metavar="NAMES", help="some of the measures, by commas (all)")
    parser.add_argument("--frames", type=positive_int, default=None, metavar="T", help="score only the first T frames")
    parser.add_argument("--against", default="", metavar="scores.json", help="show these scores beside; refused when unlike")
    parser.add_argument("--output_dir", default="", metavar="DIR", help="folder for scores.json, scores.txt, scores.png")
    parser.add_argument("--real_frames", default="", metavar="DIR", help="for FRRea: folder of real frames, or features as .npy")
    parser.add_argument("--made_frames", default="", metavar="DIR", help="for FRRea: folder of drawn frames, or features as .npy")
    parser.add_argument("--frame_step", type=positive_int, default=30, help="of every clip, each so many-th frame counts (30)")
    parser.add_argument("--features", default="", metavar="NAME", help="the network that features given as .npy come from")
    parser.add_argument("--renderer", default="", metavar="NAME", help="how the frames were drawn, for the record")
    add_device_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if not args.data:
        raise UsageError("Give the corpus as --data.")
    from diffusionrig.devices import resolve_device
    from diffusionrig.io.files import read_json
    from diffusionrig.reactions.corpus import Corpus
    from diffusionrig.reactions.metrics import results
    from diffusionrig.reactions.metrics.evaluation import METRICS
    from diffusionrig.reactions.metrics.scoring import Pictures, Plan, heading, score_file, write_results

    names = tuple(filter(None, args.metrics.split(","))) or METRICS
    unknown = next((name for name in names if name not in METRICS), None)
    if unknown is not None:
        more = " (FRRea is scored when --real_frames and --made_frames are given)" if unknown == "FRRea" else ""
        raise UsageError(f"--metrics names {unknown!r}; choose from {', '.join(METRICS)}{more}.")
    if bool(args.real_frames) != bool(args.made_frames):
        raise UsageError("FRRea needs both --real_frames and --made_frames.")
    pictures = None
    if args.real_frames:
        pictures = Pictures(Path(args.real_frames), Path(args.made_frames), args.frame_step, args.features)
    others = read_json(args.against) if args.against else None
    plan = Plan(("official", "fixed") if args.mode == "both" else (args.mode,), names, args.frames, pictures, args.renderer,
                str(resolve_device(args.device)), args.threads or os.cpu_count() or 1)
    split = Corpus.open(args.data).split(args.split, args.variant)
    found, scores = score_file(Path(args.predictions), split, plan)
    if others is not None:
        results.check_alike(found, others, args.against)
    text = "\n".join([heading(found), "", results.table(found, others), "", *results.remarks(found)])
    print(text)
    if args.output_dir:
        write_results(Path(args.output_dir), found, scores, text)
    return 0
