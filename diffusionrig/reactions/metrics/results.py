"""Results as JSON, as a table, as plots, and whether two may stand in one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.unread import unread_sentence
from diffusionrig.reactions.metrics.evaluation import BETTER, MENDED
from diffusionrig.reactions.metrics.score import Score

FORMAT = "diffusionrig reaction scores 1"
MUST_AGREE = {"samples": "K", "frames": "T", "items": "items", "matrix": "matrix"}


def as_json(conditions: Mapping[str, Any], scores: Sequence[Score]) -> dict[str, Any]:
    """What is written: conditions, and by mode and measure the value, what was not defined, details, and every item's number."""
    modes: dict[str, Any] = {}
    for one in scores:
        modes.setdefault(one.mode, {})[one.name] = {
            "value": _number(one.value), "better": BETTER[one.name], "undefined_items": one.undefined,
            "details": {key: _number(value) for key, value in one.details.items()},
            "mended": list(MENDED[one.name]) if one.mode == "fixed" else [], "items": [_number(value) for value in one.items]}
    return {"format": FORMAT, "conditions": dict(conditions), "modes": modes}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def check_alike(ours: Mapping[str, Any], theirs: Any, where: str) -> None:
    """RigError when ``theirs`` (of the file ``where``) are no results; UsageError naming what differs when unlike ``ours``."""
    try:
        known = theirs["format"] == FORMAT
        conditions, modes = theirs["conditions"], theirs["modes"]
        agreeing = {key: conditions[key] for key in MUST_AGREE}
        values = [entry["value"] for scores in modes.values() for entry in scores.values()]
    except (KeyError, TypeError, AttributeError):
        known = False
    if not known or not all(value is None or isinstance(value, (int, float)) for value in values):
        raise RigError(f"{where} holds no scores of 'diffusionrig react evaluate'.")
    for key, name in MUST_AGREE.items():
        mine = ours["conditions"][key]
        if agreeing[key] != mine:
            raise UsageError(f"These scores and those of {where} cannot be compared: {name} is {_short(mine)} here and "
                             f"{_short(agreeing[key])} there.")
    if not set(ours["modes"]) & set(modes):
        raise UsageError(f"These scores and those of {where} cannot be compared: the modes are {', '.join(ours['modes'])} here and "
                         f"{', '.join(modes) or 'none'} there.")


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) else str(value)


def table(ours: Mapping[str, Any], theirs: Mapping[str, Any] | None = None) -> str:
    """The scores as text: one row a measure, one column a mode; those of ``theirs`` beside them."""
    modes = list(ours["modes"])
    columns = [(mode, ours["modes"][mode]) for mode in modes]
    if theirs is not None:
        columns += [(f"{mode} ({theirs['conditions'].get('name', 'other')})", theirs["modes"][mode])
                    for mode in modes if mode in theirs["modes"]]
    names = list(dict.fromkeys(name for mode in modes for name in ours["modes"][mode]))
    widths = [max(12, len(title)) for title, _ in columns]
    lines = ["measure  better  " + "  ".join(f"{title:>{width}}" for (title, _), width in zip(columns, widths))]
    for name in names:
        cells = []
        for (_, scores), width in zip(columns, widths):
            entry = scores.get(name) if _comparable(name, ours, scores) else None
            cells.append(f"{_cell(entry):>{width}}")
        lines.append(f"{name:<7}  {BETTER[name]:<6}  " + "  ".join(cells))
    return "\n".join(lines)


def _comparable(name: str, ours: Mapping[str, Any], scores: Mapping[str, Any]) -> bool:
    """Fréchet distances of different features are not shown side by side."""
    if name != "FRRea" or name not in scores:
        return True
    mine = next(entry[name] for entry in ours["modes"].values() if name in entry)
    return bool(mine.get("features") == scores[name].get("features"))


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return "undefined" if entry["value"] is None else f"{entry['value']:.6g}"


def remarks(results: Mapping[str, Any]) -> list[str]:
    """What a reader of the table must know, a line each."""
    lines = []
    for mode, scores in results["modes"].items():
        for name, entry in scores.items():
            if name == "FRSyn" and entry["details"]["degenerate_share"]:
                share = entry["details"]["degenerate_share"]
                lines.append(f"FRSyn ({mode}): {100 * share:.0f} % of the scored reactions have no defined lag"
                             + (" and count by their first NaN, 49 frames if a channel never moves." if mode == "official" else
                                " and are left out."))
            if name == "FRSyn" and mode == "fixed" and entry["details"]["signed_lag"] is not None:
                lines.append(f"FRSyn (fixed): mean signed lag {entry['details']['signed_lag']:+.2f} frames (positive: the listener "
                             "follows).")
            if entry["undefined_items"]:
                lines.append(f"{name} ({mode}): not defined for {entry['undefined_items']} items, which are left out.")
            if entry["mended"]:
                lines.append(f"{name} (fixed): {'; '.join(entry['mended'])}.")
    frames: Mapping[str, Any] = next((scores["FRRea"] for scores in results["modes"].values() if "FRRea" in scores), {})
    return lines + list(filter(None, [unread_sentence(frames.get("unread", []))]))


def panels(scores: Sequence[Score]) -> list[tuple[str, np.ndarray]]:
    """Title and values of one histogram a score, where there is more than one item."""
    return [(f"{one.name}, {one.mode}", one.items) for one in scores if len(one.items) > 1]
