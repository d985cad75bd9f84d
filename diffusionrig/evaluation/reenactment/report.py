"""One re-enactment from the request to its files: evaluation.json, .csv and .html, contact_sheet.png."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusionrig.capture.identity.embedding import make_identity
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.evaluation.perception import ABSENT, Lpips
from diffusionrig.evaluation.reenactment.contestants import CONTESTANTS, SOURCE
from diffusionrig.evaluation.reenactment.drawing import Reenacted, reenact
from diffusionrig.evaluation.reenactment.figures import MEASURES
from diffusionrig.evaluation.reenactment.framing import FRAMINGS, SIDE
from diffusionrig.evaluation.reenactment.groups import Groups, absent, by_group, read_groups
from diffusionrig.evaluation.reenactment.looking import Looker
from diffusionrig.evaluation.reenactment.material import Reenactments, clip_pairs, contents, folder_pairs
from diffusionrig.evaluation.reenactment.page import reenactment_page
from diffusionrig.evaluation.reenactment.summary import COLUMNS, by_clip, rows, summarise
from diffusionrig.evaluation.report import PAGE, REPORT, SHEET, guard
from diffusionrig.evaluation.summary import configuration_hash, peak_memory, versions
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.io.files import make_folder, write_json, write_text
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import contact_sheet
from diffusionrig.io.tables import write_text_table

TABLE = "evaluation.csv"
ON_SHEET = 16

WEAK = ("Identity was measured by fit, which tells real people apart badly; install diffusionrig[dlib], or name a network of yours "
        "as --identity onnx:PATH.")


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a re-enactment is asked to do.

    clips     videos or folders of frames; or
    pairs     two folders in which the same name is the same person
    frames    truths of each clip
    count     pairs of photographs, 0 for all
    framing   of framing.FRAMINGS
    modes     as ``diffusionrig edit`` takes them
    identity  name of an embedding; "" for dlib where it is installed, else fit; "none" leaves identity out
    lpips     folder with the files of LPIPS; "" leaves it out
    groups    csv file of names and groups (``groups.read_groups``), whose figures are given apart; "" for none
    """

    output_dir: str
    model_path: str = "default"
    clips: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    frames: int = 8
    count: int = 0
    framing: str = "head"
    modes: str = "pose+exp+light"
    identity: str = ""
    lpips: str = ""
    batch_size: int = 4
    overwrite: bool = False
    groups: str = ""


def usual_identity() -> str:
    """The best embedding of real people that is installed."""
    there = all(importlib.util.find_spec(module) is not None for module in ("dlib", "face_recognition_models"))
    return "dlib" if there else "fit"


def run_reenactment(rig: Rig, plan: Plan, sampling: Sampling) -> dict[str, Any]:
    """Re-enact, compare, and write report, table, page and contact sheet; returns the report."""
    edits = parse_modes(plan.modes)
    if not edits:
        raise UsageError("--modes names nothing to evaluate; choose from pose, exp, light, latent, joined by + where wanted.")
    plan = dataclasses.replace(plan, identity=plan.identity or usual_identity())
    groups = read_groups(plan.groups)
    given = contents(plan.clips, plan.pairs)
    folder = make_folder(plan.output_dir)
    configuration = {
        **{name: value for name, value in dataclasses.asdict(plan).items() if name not in {"output_dir", "overwrite"}},
        "groups": {group: sorted(names) for group, names in groups.items()},
        "contents": configuration_hash(given), "side": SIDE, "sampling": dataclasses.asdict(sampling),
        "model_hash": rig.pretrained.hash, "encoder": rig.encoder().name, "precision": rig.precision}
    digest = configuration_hash(configuration)
    guard(folder, digest, plan.overwrite)
    identity = None if plan.identity == "none" else make_identity(plan.identity, rig.device)
    lpips = Lpips.load(plan.lpips) if plan.lpips else None
    material = _material(plan)
    items, refused, speed = reenact(rig, material.pairs, edits, sampling, Looker(rig.encoder(), identity), lpips, plan.batch_size)
    meta = rig.pretrained.meta
    report = {
        "format": "diffusionrig re-enactment 1", "definitions": _definitions(),
        "model": {"path": plan.model_path, "hash": rig.pretrained.hash, "image_size": rig.size, "head": rig.pretrained.head,
                  "stage": meta.get("stage"), "step": meta.get("step"), "consent": rig.consent},
        "data": material.about, "pairs": len({id(item.pair) for item in items}), "encoder": rig.encoder().name,
        "identity": None if identity is None else {"name": identity.name, "same_person_from": identity.same},
        "configuration": configuration, "configuration_hash": digest, "versions": versions(rig.device),
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "summary": summarise(items), "by_clip": by_clip(items), "by_group": by_group(items, groups),
        "speed": {**speed, "calls_per_edit": rig.calls(sampling), "inversion_calls": rig.inversion_calls(sampling)},
        "memory": peak_memory(rig.device),
        "left_out": material.left_out + refused,
        "notes": _notes(plan, rig, items, identity.same if identity else None, groups) + material.left_out + refused,
        "edits": [item.numbers() for item in items]}
    write_json(folder / REPORT, report)
    write_text_table(folder / TABLE, COLUMNS, rows(items))
    write_text(folder / PAGE, reenactment_page(report, items))
    write_png(folder / SHEET, reenactment_sheet(items), {"Comment": "AI-edited"})
    return report


def _material(plan: Plan) -> Reenactments:
    if plan.framing not in FRAMINGS:
        raise UsageError(f"There is no framing {plan.framing!r}; choose from {', '.join(FRAMINGS)}.")
    finder = FaceLandmarker()
    if bool(plan.clips) == bool(plan.pairs):
        raise UsageError("A re-enactment takes clips (--video) or two folders (--pairs), and one of them at a time.")
    if plan.clips:
        return clip_pairs(plan.clips, plan.frames, plan.framing, finder)
    return folder_pairs(plan.pairs[0], plan.pairs[1], plan.count, plan.framing, finder)


def _definitions() -> dict[str, str]:
    return {**{one.title: one.means for one in CONTESTANTS}, **{measure.title: measure.means for measure in MEASURES.values()},
            "faces lost": "pictures on which the landmarks or the encoder found no face; their landmarks, pose, expression or "
                          "identity are missing, so the medians are of the others"}


def _notes(plan: Plan, rig: Rig, items: Sequence[Reenacted], same: float | None, groups: Groups) -> list[str]:
    strangers = [item.pair.truth_name for item in items if same is not None and item.mode == items[0].mode
                 and (cosine := item.figures[SOURCE]["identity"]) is not None and cosine < same]
    missing = absent(items, groups)
    notes = [f"The checkpoint draws {rig.size} pixels; its pictures were brought to {SIDE}." if rig.size != SIDE else "",
             "" if plan.lpips else ABSENT,
             "Identity was not measured, as --identity none asked." if plan.identity == "none" else "",
             f"{plan.groups} names {len(missing)} that no pair has: {', '.join(missing[:5])}." if missing else "",
             WEAK if plan.identity == "fit" else "",
             f"Source and truth may be two people, by the identity embedding: {', '.join(strangers)}." if strangers else ""]
    for one in CONTESTANTS:
        lost = sum(one.name in item.lost for item in items)
        if lost:
            notes.append(f"{one.title}: no face was found again on {lost} of {len(items)} pictures, which landmarks, pose, "
                         "expression or identity leave out.")
    return [note for note in notes if note]


def reenactment_sheet(items: Sequence[Reenacted]) -> np.ndarray:
    """Contact sheet (H, W, 3) uint8 of pairs spread over all, one a row."""
    chosen = [items[i] for i in sorted({round(i) for i in np.linspace(0, len(items) - 1, min(ON_SHEET, len(items)))})]
    others = [one for one in CONTESTANTS if one.name != SOURCE]
    return contact_sheet([[item.pair.source, item.pair.truth, *(item.images[one.name] for one in others)] for item in chosen],
                         ["source", "target and truth", *(one.title for one in others)],
                         [f"{item.pair.truth_name} {item.mode}" for item in chosen], SIDE)
