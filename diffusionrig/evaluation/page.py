"""The evaluation as one HTML page that needs nothing else: tables, bars and pictures inside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from diffusionrig.evaluation.control import UNITS
from diffusionrig.evaluation.measure import BUFFER, CANDIDATES, EDIT, SOURCE, TARGET, TRUTH, Measured
from diffusionrig.evaluation.summary import worst
from diffusionrig.io.jpeg import embedded

SHOWN, WORST = 6, 3
PICTURES = (SOURCE, TARGET, TRUTH, BUFFER, EDIT)
NAMES = {"truth": "true photograph", "source": "unchanged source", "buffer": "rendered buffer", "edit": "edit", "target": "target"}

STYLE = """
:root { color-scheme: light dark; --ink: #23262b; --paper: #fbfaf8; --line: #dcd8d0; --soft: #6d6a64; --bar: #4d7ea8;
  --pale: #c9c3b8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e6e1; --paper: #1b1d20; --line: #3a3d42; --soft: #a09c94; --bar: #7fb0d8; --pale: #565a61; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p, li, dd { max-width: 46rem; }
.soft, caption, dd { color: var(--soft); }
code { font-size: .9em; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: .6rem 0; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.n { text-align: right; }
.bar { display: inline-block; height: .6rem; background: var(--pale); border-radius: 2px; }
.bar.edit { background: var(--bar); }
.wide { overflow-x: auto; }
.pictures td { border: 0; padding: .2rem; }
.pictures th { border: 0; font-weight: 500; font-size: .85rem; }
.pictures img { width: 128px; height: 128px; display: block; image-rendering: pixelated; }
.pictures td.t { font-size: .85rem; max-width: 11rem; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin-left: 0; }
"""


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
    return ("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<meta name='generator' content='diffusionrig {escape(report['versions']['diffusionrig'])}'>"
            f"<title>Evaluation: {escape(str(model['path']))}</title><style>{STYLE}</style></head>\n<body>\n"
            + "\n".join(parts) + "\n</body></html>\n")


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _median(entry: dict[str, Any] | None) -> float | None:
    return None if entry is None else entry["median"]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", left: int = 1) -> str:
    """A table; cells are HTML already, those after the first ``left`` are numbers."""
    kind = ["" if i < left else " class='n'" for i in range(len(head))]
    titles = "".join(f"<th{k}>{title}</th>" for k, title in zip(kind, head))
    body = "".join("<tr>" + "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kind, row)) + "</tr>" for row in rows)
    return f"<div class='wide'><table><caption>{caption}</caption><tr>{titles}</tr>{body}</table></div>"


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
                             f"{NAMES[name]}{' (floor)' if name == TRUTH else ''}", bar, _number(value),
                             "–" if spread is None else f"{_number(spread['p10'])} to {_number(spread['p90'])}"])
    return _table(["mode", "part", "captured from", "", "median", "10 % to 90 %"], rows,
                  "Error of the part that was changed, captured again; smaller is better.", 4)


def _quality(summary: dict[str, Any]) -> str:
    rows = []
    for mode, values in summary.items():
        cells = [_number(_median(values[key][name]), digits) for key, digits in (("psnr", 1), ("ssim", 3), ("lpips", 3))
                 for name in (EDIT, SOURCE, BUFFER)]
        rows.append([escape(mode), *cells])
    titles = [f"{title}<br>{name}" for title in ("PSNR, dB", "SSIM", "LPIPS") for name in ("edit", "source", "buffer")]
    likeness = [[escape(mode), *(_number(_median(values["identity"][name])) for name in (EDIT, TRUTH, TARGET)),
                 *(_number(_median(values["background"][name])) for name in (EDIT, TRUTH)),
                 _number(100 * values["found"][EDIT], 0) + " %"] for mode, values in summary.items()]
    return (_table(["mode", *titles], rows, "Medians against the true photograph; PSNR and SSIM on the face.")
            + _table(["mode", "identity<br>edit", "identity<br>true photograph", "identity<br>target", "background<br>edit",
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
            text = f"{_number(edit)} <span class='soft'>({_number(floor)})</span>"
            cells.append(f"<b>{text}</b>" if part in values["changes"] else text)
        rows.append([escape(mode), *cells])
    return _table(["mode", *(f"{part}, {unit}" for part, unit in UNITS.items())], rows,
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
