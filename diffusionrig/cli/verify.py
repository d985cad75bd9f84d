"""``diffusionrig verify``: read the provenance of edited images back."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from diffusionrig.errors import RigError
from diffusionrig.shown import one_line

DESCRIPTION = """Read back what an edited image says about itself: that it is AI-edited, by which software and model, and in
which mode, and whether its pixels are still those that were written. Exit status 1 when a file carries no record or was changed."""
EXAMPLES = """  diffusionrig verify log/edit/0_exp.png
  diffusionrig verify --json True log/edit/*.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from diffusionrig.cli.arguments import boolean

    parser.add_argument("files", nargs="+", metavar="FILE", help="PNG files and videos")
    parser.add_argument("--json", type=boolean, default=False, help="print one JSON object per file")


def run(args: argparse.Namespace) -> int:
    from diffusionrig.editing.provenance import read_provenance
    from diffusionrig.io.files import existing_file

    status = 0
    for name in args.files:
        try:
            record = read_provenance(existing_file(Path(name), "image"))
        except RigError as error:
            print(one_line(f"diffusionrig verify: {error}"), file=sys.stderr)
            status = max(status, error.exit_code)
            continue
        if record["intact"] is False:
            status = max(status, 1)
        if args.json:
            print(json.dumps({"file": name, **record}))
        else:
            state = {True: "pixels as written", False: "PIXELS CHANGED since it was written",
                     None: "a video, whose pixels are not checked"}[record["intact"]]
            print(one_line(f"{name}: {record['statement']} by {record['software']}, mode {record['mode']}, "
                           f"model {record['model'][:16]}, {state}"))
    return status
