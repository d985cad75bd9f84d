"""The yardstick as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from diffusionrig.evaluation.html import document, number, table
from diffusionrig.evaluation.reenactment.contestants import CONTESTANTS, EDIT, SOURCE
from diffusionrig.evaluation.reenactment.drawing import Reenacted
from diffusionrig.evaluation.reenactment.figures import MEASURES
from diffusionrig.evaluation.reenactment.framing import FRAMINGS, SIDE
from diffusionrig.io.jpeg import embedded

SHOWN, SHOWN_OF_CLIP, WORST = 48, 6, 4
PER_CLIP = ("psnr_head", "identity", "landmarks")


def reenactment_page(report: dict[str, Any], items: Sequence[Reenacted]) -> str:
    """The page for a report and the pairs it was made from."""
    model, data = report["model"], report["data"]
    consent = f"<p>Consent stated at training: {escape(str(model['consent']))}.</p>" if model["consent"] else ""
    identity = report["identity"]
    parts = [
        f"<h1>{escape(str(model['path']))} on real people</h1>",
        f"<p class='soft'>{report['pairs']} pairs of {escape(data['kind'])}, compared at {SIDE} pixels; the checkpoint draws "
        f"{model['image_size']} pixels; head {escape(model['head'])}, sha256 <code>{model['hash'][:16]}</code>; captured by "
        f"{escape(report['encoder'])}; identity by {escape(identity['name'] if identity else 'nothing')}; {report['created']}</p>",
        consent, "<h2>How near to the truth?</h2>",
        "<p>Medians, below them the quartiles; bold is the best but for the ceiling. The truth is the picture that the edit takes "
        f"from. Framing: {escape(FRAMINGS[data['framing']])}.</p>",
        *(_mode(mode, contestants) for mode, contestants in report["summary"].items()),
        *_parts("Clip by clip", "clip", report["by_clip"], 2), *_parts("Group by group", "group", report["by_group"], 1),
        _costs(report),
        "<h2>Pictures</h2>", *_pictures(items),
        "<h2>What the numbers mean</h2>",
        "<dl>", *(f"<dt>{escape(name)}</dt><dd>{escape(text)}.</dd>" for name, text in report["definitions"].items()), "</dl>",
        "<h2>Notes</h2><ul>" + "".join(f"<li>{escape(note)}</li>" for note in report["notes"]) + "</ul>",
        "<p class='soft'>Edited pictures on this page are made by a network, from photographs of real people.</p>"]
    return document(f"{model['path']} on real people", report["versions"]["diffusionrig"], parts)


def _mode(mode: str, contestants: dict[str, Any]) -> str:
    measured = [name for name in MEASURES if any(entry[name] for entry in contestants.values())]
    best = {name: _best(name, contestants) for name in measured}
    body = []
    for one in CONTESTANTS:
        entry = contestants[one.name]
        cells = []
        for name in measured:
            found, digits = entry[name], MEASURES[name].digits
            low, middle, high = (number((found or {}).get(key), digits) for key in ("q1", "median", "q3"))
            text = f"{middle}<br><span class='soft'>{low} to {high}</span>" if found else middle
            cells.append(f"<b>{text}</b>" if one.name == best[name] else text)
        body.append([escape(one.title), *cells, f"{entry['faces_lost']} of {entry['pictures']}"])
    heads = ["", *(f"{escape(MEASURES[name].title)}{' ↑' if MEASURES[name].larger else ' ↓'}" for name in measured), "faces lost"]
    return f"<h3>{escape(mode)}</h3>" + table(heads, body)


def _best(measure: str, contestants: dict[str, Any]) -> str:
    sign = 1 if MEASURES[measure].larger else -1
    known = {one.name: sign * contestants[one.name][measure]["median"] for one in CONTESTANTS
             if not one.knows_truth and contestants[one.name][measure]}
    return max(known, key=lambda name: known[name], default="")


def _parts(title: str, column: str, clips: dict[str, Any], fewest: int) -> list[str]:
    if len(clips) < fewest:
        return []
    body = []
    for clip, modes in clips.items():
        for mode, contestants in modes.items():
            cells = [number((contestants[one.name][name] or {}).get("median"), MEASURES[name].digits)
                     for name in PER_CLIP for one in CONTESTANTS]
            body.append([escape(clip), escape(mode), *cells, str(contestants[EDIT]["pictures"])])
    titles = (f"{escape(MEASURES[name].title)}<br>{escape(one.title)}" for name in PER_CLIP for one in CONTESTANTS)
    return [f"<h2>{title}</h2>", table([column, "mode", *titles, "pairs"], body, "Medians.", 2)]


def _costs(report: dict[str, Any]) -> str:
    speed = report["speed"]
    return (f"<p>{speed['seconds_per_edit']:.2f} s and {speed['calls_per_edit']} network calls for each edit, "
            f"{report['configuration']['batch_size']} at a time, on {escape(report['versions']['device'])} with "
            f"{escape(report['versions']['threads'])} threads.</p>")


def _pictures(items: Sequence[Reenacted]) -> list[str]:
    """The first pairs of every clip, mode by mode, then those that the edit missed most."""
    found = []
    for mode in dict.fromkeys(item.mode for item in items):
        of_mode = [item for item in items if item.mode == mode]
        counts: dict[str, int] = {}
        shown = []
        for item in of_mode:
            counts[item.pair.clip] = counts.get(item.pair.clip, 0) + 1
            if not item.pair.clip or counts[item.pair.clip] <= SHOWN_OF_CLIP:
                shown.append(item)
        shown = shown[:SHOWN]
        rest = len(of_mode) - len(shown)
        found += [f"<h3>{escape(mode)}</h3>", _rows(shown)]
        if rest:
            found += [f"<p class='soft'>{rest} more pairs are in the table of figures.</p>"]
        missed = sorted(of_mode, key=lambda item: _merit(item))[:WORST] if len(of_mode) > WORST else []
        if missed:
            found += [f"<h3>{escape(mode)}: the {len(missed)} edits that missed the truth most</h3>", _rows(missed)]
    return found


def _merit(item: Reenacted) -> float:
    """A lost face is the worst; else PSNR on the head."""
    value = item.figures[EDIT]["psnr_head"]
    return -1.0 if EDIT in item.lost or value is None else value


def _rows(items: Sequence[Reenacted]) -> str:
    # The source is a contestant, too: it is shown once, in front of the truth.
    others = [one for one in CONTESTANTS if one.name != SOURCE]
    head = "".join(f"<th>{escape(title)}</th>" for title in ("source", "target and truth", *(one.title for one in others)))
    body = ""
    for item in items:
        pictures = [item.pair.source, item.pair.truth, *(item.images[one.name] for one in others)]
        names = ["source", "truth", *(one.name for one in others)]
        cells = "".join(f"<td><img alt='{name}' src='{embedded(picture)}'></td>" for name, picture in zip(names, pictures))
        body += f"<tr>{cells}<td class='t'>{_caption(item)}</td></tr>"
    return f"<div class='wide'><table class='pictures large'><tr>{head}<th></th></tr>{body}</table></div>"


def _caption(item: Reenacted) -> str:
    figures = item.figures[EDIT]
    words = [f"{MEASURES[name].title} {number(figures[name], MEASURES[name].digits)}" for name in PER_CLIP]
    if EDIT in item.lost:
        words.append("no face was found on the edit")
    return (f"{escape(', '.join(words))}<br><span class='soft'>{escape(item.pair.source_name)} ← "
            f"{escape(item.pair.truth_name)}</span>")
