"""``diffusionrig inspect STORE``: what a store holds, as a table and a contact sheet."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from diffusionrig.cli.arguments import add_assets_argument, positive_int

DESCRIPTION = """Print what a face store holds and draw a contact sheet of its records: image, rendered, normal, albedo.
Stores written by the published create_data.py are read as well, without running anything they contain."""
EXAMPLES = """  diffusionrig inspect log/album.lmdb
  diffusionrig inspect log/faces.lmdb --output log/faces.png --columns 12"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", help="folder of the store")
    parser.add_argument("--output", default="", metavar="PNG",
                        help="contact sheet; default: inspect.png in the store, or here when that is read-only")
    parser.add_argument("--columns", type=positive_int, default=8, help="records on the sheet, spread over the store (8)")
    add_assets_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.data.inspection import store_sheet, store_statistics
    from diffusionrig.geometry.heads import load_head
    from diffusionrig.io.images import write_png

    statistics = store_statistics(args.store)
    print(_table(args.store, statistics))
    header = statistics["header"]
    head = load_head(header["head"]) if header["head"] and header["buffers"] == "none" else None
    place = args.store if os.access(args.store, os.W_OK) else "."
    output = Path(args.output or Path(place) / "inspect.png")
    write_png(output, store_sheet(args.store, head, args.columns))
    print(f"Contact sheet: {output}")
    return 0


def _table(store: str, statistics: dict[str, Any]) -> str:
    header, count = statistics["header"], statistics["count"]
    buffers = {"none": "rendered when read"}.get(header["buffers"], f"stored as {header['buffers']}")
    lines = [f"store         {store} (schema {header['schema']}, {header.get('created_by', 'published create_data.py')})",
             f"records       {count} of {header['image_size']} x {header['image_size']} pixels"
             + ("" if header["complete"] else "; NOT FINISHED, start create-data again to continue"),
             f"bytes         {statistics['bytes_mean']:,.0f} a record on average, {statistics['bytes_max']:,} at most",
             f"encoder       {header['encoder']}",
             f"head          {header['head'] or 'unknown'} {(header['head_hash'] or '')[:12]}".rstrip(),
             f"buffers       {buffers}",
             f"mean shape    {'used' if header.get('use_meanshape') else 'not used'}",
             f"flagged       {statistics['fields'].get('flagged', 0)}",
             f"refused       {len(statistics['refused'])}"]
    if statistics["confidence"]:
        shares = "  ".join(f"{i / 10:.1f}-{(i + 1) / 10:.1f}: {n}" for i, n in enumerate(statistics["confidence"]) if n)
        lines.append(f"confidence    {shares}")
    if statistics["fields"]:
        lines.append("fields        " + ", ".join(f"{name} ({n})" for name, n in statistics["fields"].items()))
    if statistics["codes"]:
        lines.append(f"\n{'code':<12}{'size':>6}{'mean':>11}{'std':>11}{'min':>11}{'max':>11}")
        lines += [f"{name:<12}{row['size']:>6}" + "".join(f"{row[key]:>11.4g}" for key in ("mean", "std", "min", "max"))
                  for name, row in statistics["codes"].items()]
    return "\n".join(lines)
