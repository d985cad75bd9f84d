"""``diffusionrig inspect STORE|MODEL``: what a store or a model holds, as a table and a picture."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from diffusionrig.cli.arguments import add_assets_argument, positive_int
from diffusionrig.shown import one_line

DESCRIPTION = """Print what a face store holds and draw a contact sheet of its records: image, rendered, normal, albedo.
Stores written by the published create_data.py are read as well, without running anything they contain.
Of a model file (or the name of a shipped prior) print what it says about itself: kind, base model, hash, consent, size; and write
the preview of a personal model."""
EXAMPLES = """  diffusionrig inspect log/album.lmdb
  diffusionrig inspect log/faces.lmdb --output log/faces.png --columns 12
  diffusionrig inspect log/stage2/model005000.safetensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", help="folder of the store, model file, or name of a shipped prior")
    parser.add_argument("--output", default="", metavar="PNG",
                        help="contact sheet or preview; default: inspect.png in the store, MODEL_preview.png beside the model, or "
                             "here when that is read-only")
    parser.add_argument("--columns", type=positive_int, default=8, help="records on the sheet, spread over the store (8)")
    add_assets_argument(parser)


def run(args: argparse.Namespace) -> int:
    from diffusionrig.editing.pretrained import shipped_priors
    from diffusionrig.io.lmdb_files import is_store

    if (Path(args.store).is_file() and not is_store(args.store)) or args.store in {"default", *shipped_priors()}:
        return _model(args.store, args.output)
    return _store(args)


def _store(args: argparse.Namespace) -> int:
    from diffusionrig.data.inspection import store_sheet, store_statistics
    from diffusionrig.geometry.heads import load_head
    from diffusionrig.io.images import write_png
    from diffusionrig.io.lmdb_files import store_folder

    statistics = store_statistics(args.store)
    print(_table(args.store, statistics))
    header = statistics["header"]
    head = load_head(header["head"]) if header["head"] and header["buffers"] == "none" else None
    folder = store_folder(args.store)
    place = folder if os.access(folder, os.W_OK) else "."
    output = Path(args.output or Path(place) / "inspect.png")
    write_png(output, store_sheet(args.store, head, args.columns))
    print(f"Contact sheet: {output}")
    return 0


def _model(name: str, output: str) -> int:
    from diffusionrig.editing.model_card import describe_model, preview_of
    from diffusionrig.io.images import write_png

    card = describe_model(name)
    print(card_text(card))
    picture = preview_of(card["meta"], card["file"])
    if picture is None:
        return 0
    file = Path(card["file"])
    place = file.parent if os.access(file.parent, os.W_OK) else Path()
    preview = Path(output or place / f"{file.stem}_preview.png")
    write_png(preview, picture, {"Comment": "AI-generated"})
    print(f"Preview: {preview}")
    return 0


def card_text(card: dict[str, Any]) -> str:
    """The lines about a model, from ``describe_model``."""
    meta = card["meta"]
    rows = {"file": card["file"], "kind": card["kind"], "bytes": f"{card['bytes']:,}", "hash": card["hash"]}
    if card["parameters"] is not None:
        rows["numbers"] = f"{card['parameters']:,}"
    if "base" in card:
        adapter, base = card["adapter"], card["base"]
        rows["adapter"] = f"rank {adapter.rank}, alpha {adapter.alpha:g}, layers {adapter.layers}"
        rows["base"] = f"{base['name']} {base['hash']}"
        rows["base at"] = base["file"] or "NOT FOUND; name it with --base"
    if meta.get("model"):
        size, channels = (meta["model"].get(name, "?") for name in ("image_size", "num_channels"))
        rows["network"] = f"{size} pixels, {channels} channels"
    if meta.get("head"):
        rows["head"] = f"{meta['head']['name'] or 'unknown'} {(meta['head']['hash'] or '')[:12]}".rstrip()
    if meta.get("step") is not None:
        rows["trained"] = f"{meta['step']} updates" + (f" from {meta['started_from']}" if meta.get("started_from") else "")
    if meta.get("best"):
        best = meta["best"]
        rows["best"] = (f"after {best['step']} updates: loss {best['loss']:.5f} on {best['held_out']} held-out photographs, "
                        f"{best['loss_at_start']:.5f} at the start")
    if meta.get("data"):
        rows["album" if meta.get("stage") == 2 else "data"] = f"{meta['data']['records']} photographs"
    if card["consent"] is not None:
        rows["consent"] = card["consent"]
    return "\n".join(f"{name:<10}{one_line(value)}" for name, value in rows.items())


def _table(store: str, statistics: dict[str, Any]) -> str:
    header, count = statistics["header"], statistics["count"]
    buffers = {"none": "rendered when read"}.get(header["buffers"], f"stored as {header['buffers']}")
    lines = [f"store         {one_line(store)} (schema {header['schema']}, "
             f"{one_line(header.get('created_by', 'published create_data.py'))})",
             f"records       {count} of {header['image_size']} x {header['image_size']} pixels"
             + ("" if header["complete"] else "; NOT FINISHED, start create-data again to continue"),
             f"bytes         {statistics['bytes_mean']:,.0f} a record on average, {statistics['bytes_max']:,} at most",
             f"encoder       {one_line(header['encoder'])}",
             f"head          {one_line(header['head'] or 'unknown')} {(header['head_hash'] or '')[:12]}".rstrip(),
             f"buffers       {buffers}",
             f"mean shape    {'used' if header.get('use_meanshape') else 'not used'}",
             f"flagged       {statistics['fields'].get('flagged', 0)}",
             f"refused       {len(statistics['refused'])}"]
    if statistics["confidence"]:
        shares = "  ".join(f"{i / 10:.1f}-{(i + 1) / 10:.1f}: {n}" for i, n in enumerate(statistics["confidence"]) if n)
        lines.append(f"confidence    {shares}")
    if statistics["fields"]:
        lines.append("fields        " + one_line(", ".join(f"{name} ({n})" for name, n in statistics["fields"].items())))
    if statistics["codes"]:
        lines.append(f"\n{'code':<12}{'size':>6}{'mean':>11}{'std':>11}{'min':>11}{'max':>11}")
        lines += [f"{one_line(name):<12}{row['size']:>6}" + "".join(f"{row[key]:>11.4g}" for key in ("mean", "std", "min", "max"))
                  for name, row in statistics["codes"].items()]
    return "\n".join(lines)
