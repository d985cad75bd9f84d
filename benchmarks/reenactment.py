"""The yardstick on real people: clips re-enacted frame by frame, and pairs of photographs, each beside its baselines and ceilings.

    python benchmarks/reenactment.py [--video CLIP ...] [--pairs NEUTRAL SMILING] [--model default] [--keep all] [--out log/real]

Without --video the clip of ``make demo-real`` is taken, or fetched. Prints the medians of ``diffusionrig evaluate --video`` (pose,
expression and light at once) and ``--pairs`` (expression alone); their pages are left in two folders. Figures: docs/evaluation.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from diffusionrig.demo.real import VIDEO, fetch_video
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import RigError
from diffusionrig.evaluation.reenactment.report import Plan, run_reenactment
from diffusionrig.evaluation.reenactment.summary import terminal_table
from diffusionrig.io.files import make_folder


def demo_clip(out: Path) -> tuple[str, ...]:
    """The clip that a demo has left, else fetched into ``out``; nothing, and why, where that cannot be done."""
    left = Path("log/demo-real") / Path(VIDEO).name
    try:
        return (str(left if left.is_file() else fetch_video(out)),)
    except RigError as error:
        print(error)
        return ()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", nargs="+", default=[])
    parser.add_argument("--pairs", nargs=2, default=[])
    parser.add_argument("--frames", type=int, default=Plan.frames)
    parser.add_argument("--count", type=int, default=0, help="pairs, 0 for all")
    parser.add_argument("--model", default="default")
    parser.add_argument("--keep", default="all")
    parser.add_argument("--framing", default=Plan.framing)
    parser.add_argument("--lpips", default="")
    parser.add_argument("--groups", default="", help="csv file of names and groups")
    parser.add_argument("--out", default="log/real")
    args = parser.parse_args()
    out = make_folder(args.out)
    rig, sampling = Rig.from_pretrained(args.model), Sampling(keep=args.keep)
    clips = tuple(args.video) or demo_clip(out)
    plans = [Plan(str(out / "clips"), args.model, clips=clips, frames=args.frames)] if clips else []
    if args.pairs:
        plans.append(Plan(str(out / "pairs"), args.model, pairs=tuple(args.pairs), count=args.count, modes="exp"))
    for plan in plans:
        chosen = Plan(**{**vars(plan), "framing": args.framing, "lpips": args.lpips, "groups": args.groups, "overwrite": True})
        report = run_reenactment(rig, chosen, sampling)
        print(f"\n{Path(plan.output_dir).name}, --keep {args.keep}, {report['pairs']} pairs\n{terminal_table(report)}", flush=True)
        for sentence in report["left_out"]:
            print(sentence)


if __name__ == "__main__":
    main()
