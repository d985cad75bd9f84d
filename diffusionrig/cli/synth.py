"""``diffusionrig synth``: synthetic people with known face codes."""

from __future__ import annotations

import argparse

from diffusionrig.cli.arguments import positive_int

DESCRIPTION = """Render photographs of synthetic people and write the true face code of each. They are framed as aligned photographs
are, so they can be captured, stored and trained on as they come. The same seed gives the same bytes. A run that was
interrupted continues when it is started again."""
EXAMPLES = """  diffusionrig synth --output_dir log/people --count 100 --image_size 256 --seed 1
  diffusionrig synth --output_dir log/album --count 20 --image_size 256 --seed 1 --album 7
  diffusionrig synth --output_dir log/people.lmdb --count 20000 --image_size 64 --seed 1 --lmdb --workers 2
  diffusionrig synth --output_dir log/edits.lmdb --count 4000 --image_size 256 --seed 1 --edits 3 --lmdb --workers 2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output_dir", default="", metavar="DIR", help="folder for photos/, codes.npz and a contact sheet")
    parser.add_argument("--count", type=positive_int, default=24, help="number of photographs (24)")
    parser.add_argument("--image_size", type=positive_int, default=256, help="side of a photograph, pixels (256)")
    parser.add_argument("--seed", type=int, default=0, help="which random world (0)")
    parser.add_argument("--album", type=int, default=None, metavar="PERSON",
                        help="photograph only this person; default: other people on every photograph")
    parser.add_argument("--photos_per_person", type=positive_int, default=1,
                        help="photographs of each person, without --album (1)")
    parser.add_argument("--edits", type=int, default=0, metavar="N",
                        help="N further pictures after each photograph, the same moment with other pose, expression, light: true "
                             "edits to learn from; they count as photographs (0)")
    parser.add_argument("--lmdb", action="store_true", help="write a face store with the true codes instead of PNG files")
    parser.add_argument("--yaw_limit", type=float, default=40.0, help="largest turn to the side, degrees (40)")
    parser.add_argument("--head", default="open-head-1", help="head model (open-head-1)")
    parser.add_argument("--workers", type=positive_int, default=1, help="processes that share the work (1)")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.errors import UsageError

    if not args.output_dir:
        raise UsageError("Give the folder to write to as --output_dir.")
    from diffusionrig.data.synthetic.series import Series, write_series

    series = Series(args.count, args.image_size, args.seed, args.album, args.photos_per_person, args.yaw_limit, args.head,
                    args.edits)
    report = write_series(series, args.output_dir, args.lmdb, args.workers)
    print(f"{report['photographs']} photographs of {report['people']} synthetic people are in {args.output_dir} "
          f"({report['made_in_this_run']} made now, {report['per_second']} per second).")
    return 0
