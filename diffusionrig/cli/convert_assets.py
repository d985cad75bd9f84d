"""``diffusionrig convert-assets``: registered files -> plain arrays and tensors, once."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from diffusionrig.cli.arguments import add_assets_argument, boolean

if TYPE_CHECKING:
    from diffusionrig.io.conversion import Step

DESCRIPTION = """Turn the files you registered for into plain ones beside them: FLAME's pickles and tables into .npz, the weights of
DECA, EMOCA and SMIRK into .safetensors, the albedo spaces into their first 50 components. The originals are read without
running anything that they name, and stay as they are. From then on the plain copies are read, which is quicker, unless an
original is newer. Into another folder (--output) the plain files are copied too, so that it is complete."""
EXAMPLES = """  diffusionrig convert-assets
  diffusionrig convert-assets --assets ~/downloads/flame --output data
  diffusionrig convert-assets --overwrite True"""

_WORDS = {"converted": "ok", "copied": "ok", "kept": "ok", "plain": "ok", "absent": "--", "refused": "!!"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_assets_argument(parser)
    parser.add_argument("--output", "--output_dir", default="", metavar="DIR", help="folder of the plain files (the same folder)")
    parser.add_argument("--overwrite", type=boolean, nargs="?", const=True, default=False,
                        help="make copies again that are there already (False)")


def run(args: argparse.Namespace) -> int:
    from pathlib import Path

    from diffusionrig.errors import UsageError
    from diffusionrig.io.assets import user_assets
    from diffusionrig.io.conversion import convert_assets
    from diffusionrig.io.files import write_json

    folder = user_assets()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder} of registered files; name it with --assets.")
    output = Path(args.output or folder)
    steps = convert_assets(folder, output, args.overwrite, lambda step: print(_line(step), flush=True))
    report = output / "convert-assets.json"
    write_json(report, {"assets": str(folder), "output": str(output), "overwrite": args.overwrite, "files": [
        {"file": step.file.name, "action": step.action, "output": step.output, "note": step.note} for step in steps]})
    counts = {action: sum(step.action == action for step in steps) for action in _WORDS}
    needed = sum(step.action == "absent" and not step.file.optional for step in steps)
    print(f"{counts['converted']} converted, {counts['copied']} copied, {counts['kept']} kept as they were, {counts['plain']} "
          f"plain already, {counts['absent']} absent ({needed} of them needed by FLAME or an encoder), "
          f"{counts['refused']} refused; the report is {report}.")
    return 1 if counts["refused"] else 0


def _line(step: Step) -> str:
    where = f" -> {step.output}" if step.output else ""
    return f"  [{_WORDS[step.action]}] {step.file.name}: {step.action}{where}{' - ' + step.note if step.note else ''}"
