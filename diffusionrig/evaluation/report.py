"""One evaluation from the request to its files: evaluation.json, evaluation.html, contact_sheet.png."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig.capture.identity.embedding import make_identity
from diffusionrig.editing.controls import Edit, parse_modes
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.evaluation.material import find_material
from diffusionrig.evaluation.measure import EDIT, SOURCE, TRUTH, Instruments, Measured, evaluate
from diffusionrig.evaluation.page import NAMES, PICTURES, evaluation_page
from diffusionrig.evaluation.perception import ABSENT, Lpips
from diffusionrig.evaluation.summary import (
    DEFINITIONS,
    configuration_hash,
    peak_memory,
    summarise,
    versions,
)
from diffusionrig.io.files import make_folder, read_json, write_json, write_text
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import contact_sheet

REPORT, PAGE, SHEET = "evaluation.json", "evaluation.html", "contact_sheet.png"
SHAPE = "shape"
ON_SHEET = 16


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an evaluation is asked to do.

    data      "" for synthetic people, else a face store or a folder of aligned photographs
    count     pairs of faces; each is edited in every mode of ``modes`` (pose, exp, light, shape, joined by + where wanted)
    identity  name of an embedding; "none" leaves identity out
    lpips     folder with the files of LPIPS; "" leaves it out
    """

    output_dir: str
    model_path: str = "default"
    data: str = ""
    count: int = 10
    seed: int = 0
    modes: str = "pose,exp,light,shape"
    identity: str = "fit"
    lpips: str = ""
    batch_size: int = 4
    overwrite: bool = False


def parse_parts(text: str) -> list[Edit]:
    """Modes as editing knows them, and ``shape``, which only an evaluation changes: it is no edit of a person."""
    edits: list[Edit] = []
    for name in (word.strip() for word in text.split(",") if word.strip()):
        words = name.split("+")
        if any(word.strip() == "latent" for word in words):
            raise UsageError("--modes has latent, which nothing can be captured of; choose from pose, exp, light, shape.")
        others = [edit for word in words if word.strip() != SHAPE for edit in parse_modes(word)]
        parts = tuple(SHAPE if word.strip() == SHAPE else next(iter(parse_modes(word))).parts[0] for word in words)
        if len(set(parts)) != len(words) or len(others) + parts.count(SHAPE) != len(words) or name in {e.name for e in edits}:
            raise UsageError(f"--modes names {name!r} with a part or mode repeated; name each once.")
        edits.append(Edit("+".join(parts), parts))
    if not edits:
        raise UsageError("--modes names nothing to evaluate; choose from pose, exp, light, shape.")
    return edits


def run_evaluation(rig: Rig, plan: Plan, sampling: Sampling) -> dict[str, Any]:
    """Evaluate ``rig`` and write the report, its page and a contact sheet; returns the report."""
    edits = parse_parts(plan.modes)
    folder = make_folder(plan.output_dir)
    configuration = {
        **{name: value for name, value in dataclasses.asdict(plan).items() if name not in {"output_dir", "overwrite"}},
        "sampling": dataclasses.asdict(sampling), "model_hash": rig.pretrained.hash, "encoder": rig.encoder().name,
        "precision": rig.precision}
    digest = configuration_hash(configuration)
    guard(folder, digest, plan.overwrite)
    tools = Instruments(make_identity(plan.identity, rig.device) if plan.identity != "none" else None,
                        Lpips.load(plan.lpips) if plan.lpips else None)
    material = find_material(rig, plan.data, plan.count, plan.seed)
    measured, speed = evaluate(rig, material, edits, sampling, tools, plan.batch_size)
    meta = rig.pretrained.meta
    report = {
        "format": "diffusionrig evaluation 1",
        "definitions": DEFINITIONS,
        "model": {"path": plan.model_path, "hash": rig.pretrained.hash, "image_size": rig.size, "head": rig.pretrained.head,
                  "stage": meta.get("stage"), "step": meta.get("step"), "consent": rig.consent,
                  "config": rig.pretrained.model.to_dict(), "diffusion": rig.pretrained.diffusion.to_dict()},
        "data": material.about, "pairs": len(material), "encoder": rig.encoder().name,
        "identity": None if tools.identity is None else {"name": tools.identity.name, "same_person_from": tools.identity.same},
        "configuration": configuration, "configuration_hash": digest, "versions": versions(rig.device),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "summary": summarise(measured),
        "speed": {**speed, "calls_per_edit": rig.calls(sampling), "inversion_calls": rig.inversion_calls(sampling)},
        "memory": peak_memory(rig.device),
        "notes": _notes(plan, measured) + material.left_out,
        "edits": [item.numbers() for item in measured]}
    write_json(folder / REPORT, report)
    write_text(folder / PAGE, evaluation_page(report, measured))
    write_png(folder / SHEET, evaluation_sheet(measured), {"Comment": "AI-edited"})
    return report


def guard(folder: Path, digest: str, overwrite: bool) -> None:
    """Refuse a folder that holds another evaluation."""
    if overwrite or not (folder / REPORT).exists():
        return
    if read_json(folder / REPORT).get("configuration_hash") != digest:
        raise UsageError(f"{folder} already holds another evaluation; choose another --output_dir or --overwrite True.")


def _notes(plan: Plan, measured: Sequence[Measured]) -> list[str]:
    known = any(TRUTH in item.images for item in measured)
    notes = ["" if known else "The true result of these edits is not known: there is no floor, and PSNR, SSIM and LPIPS are null.",
             "" if plan.lpips or not known else ABSENT,
             "Identity was not measured, as --identity none asked." if plan.identity == "none" else ""]
    return [note for note in notes if note]


def evaluation_sheet(measured: Sequence[Measured]) -> np.ndarray:
    """Contact sheet (H, W, 3) uint8 of the first pairs, one edit a row."""
    chosen = measured[:ON_SHEET]
    shown = [name for name in PICTURES if name in chosen[0].images]
    titles = ["source" if name == SOURCE else NAMES[name] for name in shown]
    rows = [f"{item.mode} {item.quality[EDIT]['psnr']:.1f} dB" if item.quality else item.mode for item in chosen]
    cell = max(128, chosen[0].images[EDIT].shape[0])
    return contact_sheet([[item.images[name] for name in shown] for item in chosen], titles, rows, cell)
