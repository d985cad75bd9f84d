"""The evaluation as one HTML page that needs nothing else: tables, bars and pictures inside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from diffusionrig.evaluation.control import UNITS
from diffusionrig.evaluation.html import document, number, table
from diffusionrig.evaluation.measure import BUFFER, CANDIDATES, EDIT, SOURCE, TARGET, TRUTH, Measured
from diffusionrig.evaluation.summary import worst
from diffusionrig.io.jpeg import embedded

SHOWN, WORST = 6, 3
PICTURES = (SOURCE, TARGET, TRUTH, BUFFER, EDIT)
NAMES = {"truth": "true photograph", "source": "unchanged source", "buffer": "rendered buffer", "edit": "edit", "target": "target"}


def evaluation_page(report: dict[str, Any], measured: Sequence[Measured]) -> str:
    """The page for a report (``evaluation.json``) and the edits it was made from."""
    model, data = report["model"], report["data"]
    consent = f"<p>Consent stated at training: {escape(str(model['consent']))}.</p>" if model["consent"] else ""
    parts = [
        f"<h1>Evaluation of {escape(str(model['path']))}</h1>",
        f"<p class='soft'>{model['image_size']} pixels, head {escape(model['head'])}, sha256 <code>{model['hash'][:16]}</code>; "
        f"{report['pairs']} pairs of {escape(data['kind'])} with {escape(data['codes'])} codes; captured again by "
        f"{escape(report['encoder'])}; {report['created']}</p>", consent,
        "<h2>Does the edit show what it was asked to show?</h2>", _control(report["summary"]),
        "<h2>Does it look like the truth, and stay the same person?</h2>", _quality(report["summary"]), _costs(report),
        "<h2>Everything that was asked for, in every mode</h2>", _matrix(report["summary"]),
        "<h2>Pictures</h2>", *_pictures(measured),
        f"<h2>Worst cases</h2><p>Of every part the {WORST} edits that missed it most.</p>",
        _table_of([(f"{item.mode}: {text}", item) for _, text, item in worst(measured, WORST)]),
        "<h2>What the numbers mean</h2>",
        "<dl>", *(f"<dt>{escape(name)}</dt><dd>{escape(text)}.</dd>" for name, text in report["definitions"].items()), "</dl>",
        "<h2>Notes</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in report["notes"]) + "</ul>",
        "<p class='soft'>Edited pictures on this page are made by a network; synthetic people do not exist.</p>"]
    return document(f"Evaluation: {model['path']}", report["versions"]["diffusionrig"], parts)


def _median(entry: dict[str, Any] | None) -> float | None:
    return None if entry is None else entry["median"]


def _control(summary: dict[str, Any]) -> str:
    rows = []
    for mode, values in summary.items():
        for part in values["changes"]:
            medians = {name: _median(values["control"][part][name]) for name in CANDIDATES}
            most = max((value for value in medians.values() if value is not None), default=0) or 1.0
            for name, value in medians.items():
                spread = values["control"][part][name]
                bar = f"<span class='bar {name}' style='width:{round(12 * (value or 0) / most, 2)}rem'></span>"
                rows.append([f"{escape(mode)}" if name == EDIT else "", f"{part}, {UNITS[part]}" if name == EDIT else "",
                             f"{NAMES[name]}{' (floor)' if name == TRUTH else ''}", bar, number(value),
                             "–" if spread is None else f"{number(spread['p10'])} to {number(spread['p90'])}"])
    return table(["mode", "part", "captured from", "", "median", "10 % to 90 %"], rows,
                 "Error of the part that was changed, captured again; smaller is better.", 4)


def _quality(summary: dict[str, Any]) -> str:
    rows = []
    for mode, values in summary.items():
        cells = [number(_median(values[key][name]), digits) for key, digits in (("psnr", 1), ("ssim", 3), ("lpips", 3))
                 for name in (EDIT, SOURCE, BUFFER)]
        rows.append([escape(mode), *cells])
    titles = [f"{title}<br>{name}" for title in ("PSNR, dB", "SSIM", "LPIPS") for name in ("edit", "source", "buffer")]
    likeness = [[escape(mode), *(number(_median(values["identity"][name])) for name in (EDIT, TRUTH, TARGET)),
                 *(number(_median(values["background"][name])) for name in (EDIT, TRUTH)),
                 number(100 * values["found"][EDIT], 0) + " %"] for mode, values in summary.items()]
    return (table(["mode", *titles], rows, "Medians against the true photograph; PSNR and SSIM on the face.")
            + table(["mode", "identity<br>edit", "identity<br>true photograph", "identity<br>target", "background<br>edit",
                     "background<br>true photograph", "face found<br>again"], likeness,
                    "Medians; identity is the cosine with the source, background the grey levels by which it changed."))


def _costs(report: dict[str, Any]) -> str:
    speed, memory = report["speed"], report["memory"]
    gpu = f", {memory['gpu_mb']:.0f} MB on the GPU" if memory["gpu_mb"] is not None else ""
    process = f"{memory['process_mb']:.0f} MB in the process at most" if memory["process_mb"] is not None else "memory unknown"
    inverted = f" and {speed['inversion_calls']} for each source" if speed["inversion_calls"] else ""
    return (f"<p>{speed['seconds_per_edit']:.2f} s and {speed['calls_per_edit']} network calls for each edit{inverted}, "
            f"{report['configuration']['batch_size']} at a time, on {escape(report['versions']['device'])} with "
            f"{escape(report['versions']['threads'])} threads; {process}{gpu}.</p>")


def _matrix(summary: dict[str, Any]) -> str:
    rows = []
    for mode, values in summary.items():
        cells = []
        for part in UNITS:
            edit, floor = (_median(values["control"][part][name]) for name in (EDIT, TRUTH))
            text = f"{number(edit)} <span class='soft'>({number(floor)})</span>"
            cells.append(f"<b>{text}</b>" if part in values["changes"] else text)
        rows.append([escape(mode), *cells])
    return table(["mode", *(f"{part}, {unit}" for part, unit in UNITS.items())], rows,
                 "Median error of the edit (in brackets that of the true photograph). Bold: changed by the mode; the others were "
                 "to stay.")


def _pictures(measured: Sequence[Measured]) -> list[str]:
    found = []
    for mode in dict.fromkeys(item.mode for item in measured):
        rows = [(_caption(item), item) for item in measured if item.mode == mode][:SHOWN]
        found += [f"<h3>{escape(mode)}</h3>", _table_of(rows)]
    return found


def _caption(item: Measured) -> str:
    errors = item.control[EDIT]
    words = ["no face was found again"] if errors is None else [
        f"{part} {errors[part]:.1f} {UNITS[part]} off" for part in item.parts]
    if item.quality:
        words.append(f"{item.quality[EDIT]['psnr']:.1f} dB")
    return ", ".join(words)


def _table_of(rows: Sequence[tuple[str, Measured]]) -> str:
    shown = [name for name in PICTURES if any(name in item.images for _, item in rows)]
    head = "".join(f"<th>{NAMES[name] if name != SOURCE else 'source'}</th>" for name in shown)
    body = ""
    for text, item in rows:
        cells = "".join(f"<td><img alt='{name}' src='{embedded(item.images[name])}'></td>" for name in shown)
        pair = f"<span class='soft'>{escape(item.source)} ← {escape(item.target)}</span>"
        body += f"<tr>{cells}<td class='t'>{escape(text)}<br>{pair}</td></tr>"
    return f"<div class='wide'><table class='pictures'><tr>{head}<th></th></tr>{body}</table></div>"
