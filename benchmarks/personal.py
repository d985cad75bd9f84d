"""Full fine-tuning against low-rank adapters on the demo's synthetic person, by how close the edits are to the true photographs.

    python benchmarks/personal.py [--output_dir log/personal] [--steps 200] [--variants full:1e-4 lora8:1e-3 lora8-conv:1e-3]

A variant is ``full:RATE`` or ``loraRANK[-LAYERS]:RATE`` (layers joined by +). Each is trained on the album of 20 with the same
photographs, steps and noises. Printed: the loss on the three photographs of the same person that are edited later, which no run
has seen (at fixed steps and noises), processor seconds of an update, bytes of the model; unless --no-edit also PSNR and SSIM of the
edits on the face, mean over 9 edits a mode. A run that is there already is not repeated, so variants can be added one by one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.demo.commands import flags, run_step
from diffusionrig.demo.people import Cast, choose_cast, write_photographs
from diffusionrig.demo.score import score_edits, summarise
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.editing.pretrained import checkpoint_path, load_pretrained
from diffusionrig.errors import RigError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.files import make_folder, read_json, write_json
from diffusionrig.training.batches import Faces
from diffusionrig.training.holdout import Holdout
from diffusionrig.training.options import TrainOptions

SEED, ALBUM, SOURCES, TARGETS, SIZE = 8, 20, 3, 3, 64
VARIANTS = ("full:1e-4", "lora4:3e-3", "lora8:3e-3", "lora16:3e-3")


def prepare(root: Path) -> Cast:
    """Photographs, aligned faces and the two stores: the album and the photographs that are edited."""
    cast = choose_cast(load_head(), SEED, ALBUM, SOURCES, TARGETS)
    write_photographs(cast, root / "photos")
    for group in ("album", "sources", "targets"):
        if not (root / "aligned" / group).is_dir():
            run_step("align", *flags(input_imgs_path=root / "photos" / group, output_imgs_path=root / "aligned" / group,
                                     output_size=256))
    for group in ("album", "sources"):
        if not (root / group).is_dir():
            run_step("create-data", *flags(data_dir=root / "aligned" / group, output_dir=root / group, image_size=SIZE))
    return cast


def train(root: Path, variant: str, steps: int) -> dict[str, Any]:
    """Train one variant, unless that has been done; its processor time and size."""
    kind, rate = variant.split(":")
    folder = root / f"{kind}-{float(rate):g}-{steps}"
    model, times = folder / f"model{steps:06d}.safetensors", folder / "time.json"
    if not times.exists():
        what: dict[str, object] = {}
        if kind != "full":
            rank, _, layers = kind.removeprefix("lora").partition("-")
            what = {"adapter": "lora", "rank": rank, **({"adapter_layers": layers.replace("+", ",")} if layers else {})}
        began = time.process_time()
        run_step("train", *flags(stage=2, data_dir=root / "album", log_dir=folder, resume_checkpoint=checkpoint_path("open64"),
                                 max_steps=steps, batch_size=4, lr=rate, decay_steps=steps * 3 // 4, save_interval=steps,
                                 log_interval=20, ema_decay=0.99, consent="a synthetic person", **what))
        if not model.exists():
            raise RigError(f"The run in {folder} was stopped; the same command continues it.")
        write_json(times, {"per_update": (time.process_time() - began) / read_json(folder / "report.json")["updates"]})
    return {"variant": variant, "model": model, "update": read_json(times)["per_update"], "bytes": model.stat().st_size}


def unseen_loss(root: Path, model: str | Path) -> float:
    """Mean loss on the photographs that no run has seen."""
    held = Holdout(TrainOptions(data_dir=str(root / "album"), stage=2, holdout=0.5), Faces(FaceStoreDataset(root / "sources")))
    held.faces, held.records = Faces(FaceStoreDataset(root / "sources")), list(range(SOURCES))
    loaded = load_pretrained(model)
    return held.measure(loaded.network, loaded.network.state_dict(), GaussianDiffusion(loaded.diffusion))


def edit_scores(root: Path, cast: Cast, model: str | Path, name: str) -> dict[str, Any]:
    """PSNR and SSIM per mode, of edits that keep what the source shows and of edits from noise."""
    place = root / "edits" / name
    for keep in ("all", "none"):
        if not (place / keep / "report.json").exists():
            with contextlib.redirect_stdout(io.StringIO()):
                run_step("edit", *flags(model_path=model, source=root / "aligned" / "sources", target=root / "aligned" / "targets",
                                        modes="pose,exp,light", keep=keep, timestep_respacing="ddim20", save_buffers=True,
                                        overwrite=True, output_dir=place / keep))
    return summarise(score_edits(cast, root / "photos", root / "aligned", place / "all", place / "none",
                                 read_json(place / "all" / "report.json")["outputs"], SIZE))


def show(row: dict[str, Any], scores: dict[str, Any] | None) -> None:
    text = (f"| {row['variant']:18s} | {row['loss']:.5f} | {row['update']:.2f} s | {row['bytes'] / 1e6:6.2f} MB |")
    if scores:
        for which in ("edit", "edit from noise"):
            cells = [f"{values['psnr'][which]:.2f}/{values['ssim'][which]:.3f}" for values in scores.values()]
            together = [mean(values[measure][which] for values in scores.values()) for measure in ("psnr", "ssim")]
            text += f" {which}: {' '.join(cells)} mean {together[0]:.2f}/{together[1]:.4f} |"
    print(text, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", default="log/personal", help="folder of photographs, stores and runs")
    parser.add_argument("--steps", type=int, default=200, help="updates of each run")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), help="what to train")
    parser.add_argument("--edit", action=argparse.BooleanOptionalAction, default=True, help="draw and score edits as well")
    args = parser.parse_args(argv)
    # One thread, as the tables were taken with; the variable keeps training from taking more.
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    root = make_folder(args.output_dir)
    cast = prepare(root)
    prior = checkpoint_path("open64")
    rows: list[dict[str, Any]] = [{"variant": "prior", "model": prior, "update": 0.0, "bytes": prior.stat().st_size}]
    rows += [train(root, variant, args.steps) for variant in args.variants]
    for row in rows:
        row["loss"] = unseen_loss(root, row["model"])
        show(row, edit_scores(root, cast, row["model"], Path(row["model"]).parent.name) if args.edit else None)


if __name__ == "__main__":
    main()
