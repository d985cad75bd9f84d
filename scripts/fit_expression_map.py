"""Fit the map from ARKit's 52 actions to FLAME's expression and jaw, and write it beside the registered files.

    python scripts/fit_expression_map.py --head flame-2020

Editing fits the map by itself when it needs one and finds none; the file saves those seconds and can be looked at. It derives
from FLAME, so it falls under FLAME's licence: keep it to yourself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from diffusionrig.errors import RigError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.expression_fit import fit_expression_map
from diffusionrig.geometry.expression_map import ExpressionMap, map_file_name
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.assets import user_assets
from diffusionrig.io.files import make_folder


def table(fitted: ExpressionMap) -> str:
    """One line per action: how far it moves the face, and how much of that the head cannot follow."""
    lines = [f"{'action':20s} {'moves':>8s} {'missed':>8s} {'share':>6s}   (millimetres, root mean square over the face)"]
    for name, moved, missed in zip(ARKIT_NAMES, fitted.moved.tolist(), fitted.missed.tolist()):
        share = f"{missed / moved:6.0%}" if moved > 1e-6 else f"{'-':>6s}"
        lines.append(f"{name:20s} {1e3 * moved:8.2f} {1e3 * missed:8.2f} {share}")
    total = (fitted.missed.square().sum() / fitted.moved.square().sum()).sqrt()
    return "\n".join([*lines, f"all actions together: {float(total):.0%} missed"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", default="flame-2020", help="a registered head model (default %(default)s)")
    parser.add_argument("--output", help="file to write (default: beside the registered files, where editing looks for it)")
    args = parser.parse_args()
    try:
        head = load_head(args.head)
        fitted = fit_expression_map(head)
        path = Path(args.output) if args.output else user_assets() / map_file_name(head)
        make_folder(path.parent)
        write_array_file(path, fitted.arrays())
    except RigError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return error.exit_code
    print(table(fitted))
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
