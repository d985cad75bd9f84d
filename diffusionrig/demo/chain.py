"""The chain of the demo: photographs -> align -> capture -> store -> stage 2 -> edit, and what came of it."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from diffusionrig.demo.commands import flags, run_step
from diffusionrig.demo.people import choose_cast, write_photographs
from diffusionrig.demo.report import write_report, write_score_sheet
from diffusionrig.demo.score import score_edits, summarise, wins
from diffusionrig.editing.pretrained import checkpoint_path, describe_prior
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.assets import asset_path
from diffusionrig.io.files import make_folder, read_json, sha256_of
from diffusionrig.io.images import read_image, write_png

CONSENT = "a synthetic person, made by this program"
PORTRAIT, PHOTOGRAPH = "portrait.jpg", "astronaut.png"

SLIDERS = {"serious": "mouthSmileLeft=0,mouthSmileRight=0,jawOpen=0", "turned": "yaw=+15",
           "surprised": "browInnerUp=+0.7,jawOpen=+0.35"}
"""What is done to the portrait by hand."""


@dataclasses.dataclass(frozen=True)
class DemoSettings:
    """Sizes of the demo; the defaults finish within ten minutes on two cores."""

    output_dir: str = "log/demo"
    prior: str = "default"
    seed: int = 8
    album: int = 20
    held_out: int = 3
    strangers: int = 3
    steps: int = 120
    batch_size: int = 4
    lr: float = 1e-4


def run_demo(settings: DemoSettings) -> dict[str, Any]:
    """Run the whole chain on a synthetic person and a real portrait; returns the report."""
    began = time.monotonic()
    root = make_folder(settings.output_dir)
    prior = checkpoint_path(settings.prior)
    size = describe_prior(prior)["image_size"]
    head = load_head(describe_prior(prior)["head"])
    cast = choose_cast(head, settings.seed, settings.album, settings.held_out, settings.strangers)
    photos, aligned = root / "photos", root / "aligned"
    print(f"A synthetic person: {settings.album} photographs for the album, {settings.held_out} to edit, and "
          f"{settings.strangers} strangers to take from, in {photos}.")
    write_photographs(cast, photos)
    copy_portrait(photos / "portrait")
    for group in ("album", "sources", "targets"):
        run_step("align", *flags(input_imgs_path=photos / group, output_imgs_path=aligned / group, output_size=256))
    model = personalise(settings, root, aligned / "album", prior, size, CONSENT)
    run_step("edit", *flags(model_path=model, source=aligned / "sources", target=aligned / "targets",
                            modes="pose,exp,light,exp+light", album=root / "store", save_buffers=True, overwrite=True,
                            output_dir=root / "edits"))
    portrait(root, photos, prior)
    scored = score_edits(cast, photos, aligned, root / "edits", read_json(root / "edits" / "report.json")["outputs"], size)
    write_score_sheet(root / "edits_and_truth.png", scored)
    summary = summarise(scored)
    report = {"settings": dataclasses.asdict(settings), "prior": str(prior), "model": str(model), "image_size": size,
              "scores": summary, "beats_both_baselines": wins(summary), "seconds": round(time.monotonic() - began, 1)}
    write_report(root, report)
    return report


def personalise(settings: DemoSettings, root: Path, album: Path, prior: Path, size: int, consent: str) -> Path:
    """Store the album and run stage 2 on it; returns the personal model."""
    # A folder for each prior: results of an earlier one must not pass for those of this one.
    store, log_dir = root / "store", root / f"stage2-{sha256_of(prior)[:8]}"
    # No mean shape: FIT finds shape, expression and camera together, and another shape under the same camera no longer lies on
    # the photograph. It would cost two decibels here.
    run_step("create-data", *flags(data_dir=album, output_dir=store, image_size=size, use_meanshape=False))
    run_step("inspect", store, *flags(output=root / "store.png"))
    model = log_dir / f"model{settings.steps:06d}.safetensors"
    if not model.exists():
        run_step("train", *flags(stage=2, data_dir=store, log_dir=log_dir, resume_checkpoint=prior, max_steps=settings.steps,
                                 batch_size=settings.batch_size, lr=settings.lr, decay_steps=settings.steps * 3 // 4,
                                 save_interval=settings.steps, log_interval=20, ema_decay=0.99, consent=consent))
    return model


def copy_portrait(folder: Path) -> None:
    """Put the NASA portrait that ships with the package among the photographs."""
    target = make_folder(folder) / PHOTOGRAPH
    if not target.exists():
        write_png(target, read_image(asset_path(PORTRAIT)))


def portrait(root: Path, photos: Path, prior: Path) -> None:
    """Capture the real portrait and edit it, whole and in its own resolution, with the general prior: there is one photograph, so
    no personal model."""
    run_step("capture", photos / "portrait", *flags(output=root / "portrait_capture"))
    run_step("edit", photos / "portrait" / PHOTOGRAPH, *flags(model_path=prior, target=photos / "targets", modes="pose,exp,light",
                                                              overwrite=True, output_dir=root / "portrait_edits"))
    for name, sliders in SLIDERS.items():
        run_step("edit", photos / "portrait" / PHOTOGRAPH, *flags(model_path=prior, set=sliders, overwrite=True,
                                                                  output_dir=root / f"portrait_{name}"))

