"""``diffusionrig react synth``: a synthetic dyadic corpus with known appropriateness, lags and styles."""

from __future__ import annotations

import argparse

DESCRIPTION = """Write a corpus of synthetic conversations in the layout of REACT 2023 and 2024 (or of MARS): attributes,
coefficients, sound, video if asked for, lists of pairs and appropriateness matrices, with everything that is true of it
in truth.json. Who reacts how and when is drawn per person and clip, so the same seed gives the same bytes and more clips
change none of the others. A run that was interrupted continues when it is started again. See docs/reactions-data.md."""
EXAMPLES = """  diffusionrig react synth --output_dir log/dyads --seed 1
  diffusionrig react synth --output_dir log/dyads --seed 1 --micro 0.02 --dyads 12,4,4 --clips 5
  diffusionrig react synth --output_dir log/seen --seed 1 --video mp4 --video_size 128 --dyads 1,1,1 --clips 1
  diffusionrig react synth --output_dir log/full --seed 1 --full_length --sites NoXI,RECOLA,UDIVA
  diffusionrig react synth --output_dir log/mars --seed 1 --layout mars"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.reactions.synthetic.options import CHOICES, Options

    default = Options()
    parser.add_argument("--output_dir", default="", metavar="DIR", help="folder for the corpus")
    parser.add_argument("--seed", type=int, default=0, help="which random world (0)")
    parser.add_argument("--sites", default=",".join(default.sites), help="whose paths and roles to use, of NoXI, RECOLA, UDIVA "
                        "(NoXI,RECOLA)")
    parser.add_argument("--dyads", default=",".join(map(str, default.dyads)), metavar="A,B,C",
                        help="pairs of people in train, val and test (6,3,3)")
    parser.add_argument("--clips", type=int, default=default.clips, help="clips of each pair (3)")
    parser.add_argument("--frames", type=int, default=default.frames, help="frames of a clip (128)")
    parser.add_argument("--full_length", action="store_true", help="750 frames, as REACT has them, instead of --frames")
    parser.add_argument("--classes", type=int, default=default.classes, help="situation classes (4)")
    parser.add_argument("--jitter", type=int, default=default.jitter, help="frames by which events move from clip to clip (1)")
    parser.add_argument("--noise", type=float, default=default.noise, help="deviation of noise on every control (0)")
    parser.add_argument("--micro", type=float, default=default.micro,
                        help="amplitude of a slow movement of every control; above 0 no attribute is constant (0)")
    parser.add_argument("--video_size", type=int, default=default.video_size, help="side of a frame, pixels (64)")
    for name, text in (("au_mode", "action units as intensities or as occurrences"),
                       ("appropriateness", "clips of one class suit one another, or clips at nearby angles do"),
                       ("layout", "whose folders to imitate"), ("video", "whether and how to write frames"),
                       ("look", "what frames show: the lit head, or photographs with hair and clothes (slower)"),
                       ("audio", "44.1 kHz stereo, 16 kHz mono, or none")):
        parser.add_argument(f"--{name}", default=getattr(default, name), choices=CHOICES[name],
                            help=f"{text} ({getattr(default, name)})")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError
    from diffusionrig.reactions.corpus.cropping import FULL_LENGTH
    from diffusionrig.reactions.synthetic.options import CHOICES, Options
    from diffusionrig.reactions.synthetic.writing import write_corpus

    if not args.output_dir:
        raise UsageError("Give the folder to write to as --output_dir.")
    try:
        dyads = tuple(int(number) for number in args.dyads.split(","))
    except ValueError:
        raise UsageError(f"--dyads {args.dyads!r} is not three whole numbers such as 6,3,3.") from None
    options = Options(args.seed, tuple(filter(None, args.sites.split(","))), dyads,  # type: ignore[arg-type]
                      args.clips, FULL_LENGTH if args.full_length else args.frames, args.classes, args.jitter, args.noise,
                      args.micro, video_size=args.video_size, **{name: getattr(args, name) for name in CHOICES})
    report = write_corpus(options, args.output_dir)
    print(f"{report['clips']} clips of {report['people']} people, {report['items']} directed items, are in {args.output_dir} "
          f"({report['written']} written now).")
    return 0
