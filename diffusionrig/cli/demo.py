"""``diffusionrig demo``: the whole chain on the shipped prior."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import boolean, positive_int

DESCRIPTION = """Run the whole chain: photographs of a synthetic person are aligned, captured, stored and used for a short stage 2;
the personal model then edits expression, pose and light, and each edit is scored against the true photograph. A real portrait
is captured and edited too. With --real True the person is real: frames of a portrait video that a public package carries.
With --react True it is the chain of listener reactions: a synthetic corpus, every system trained with its small configuration,
ten reactions to every item, scores beside baselines, and one listener drawn as the woman of that video,
beside the speaker, with sound."""
EXAMPLES = """  diffusionrig demo
  diffusionrig demo --output_dir log/demo --steps 200
  diffusionrig demo --real True --output_dir log/demo-real
  diffusionrig demo --react True --output_dir log/demo-react"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output_dir", default="", help="folder of the results (default log/demo, log/demo-real, "
                                                              "log/demo-react)")
    parser.add_argument("--real", type=boolean, default=False, help="a real person from a video instead (default False)")
    parser.add_argument("--react", type=boolean, default=False, help="listener reactions instead (default False)")
    parser.add_argument("--systems", default="", metavar="NAME,...", help="with --react True: which are trained (all)")
    parser.add_argument("--prior", default="default", help="model to start from (default: the shipped prior)")
    parser.add_argument("--steps", type=positive_int, default=120, help="updates of stage 2 (default 120)")
    parser.add_argument("--seed", type=int, default=8, help="who the synthetic person is (default 8)")


def run(args: argparse.Namespace) -> int:
    if args.react:
        return _react(args)
    from diffusionrig.demo.chain import DemoSettings, run_demo
    from diffusionrig.demo.real import run_real_demo

    folder = args.output_dir or ("log/demo-real" if args.real else "log/demo")
    settings = DemoSettings(output_dir=folder, prior=args.prior, seed=args.seed, steps=args.steps)
    if args.real:
        run_real_demo(settings)
        return 0
    run_demo(settings)
    return 0


def _react(args: argparse.Namespace) -> int:
    from diffusionrig.demo.react import SYSTEMS, ReactSettings, run_react_demo

    systems = tuple(filter(None, args.systems.split(","))) or SYSTEMS
    run_react_demo(ReactSettings(output_dir=args.output_dir or "log/demo-react", systems=systems))
    return 0
