"""The parts of a page that needs nothing but itself: its frame, tables, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

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
.pictures.large img { width: 160px; height: 160px; image-rendering: auto; }
.pictures td.t { font-size: .85rem; max-width: 11rem; }
dt { font-weight: 600; margin-top: .5rem; }
dd { margin-left: 0; }
"""


def document(title: str, version: str, parts: Sequence[str]) -> str:
    """A whole page of HTML ``parts``; ``title`` is plain text."""
    return ("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
            f"<meta name='generator' content='diffusionrig {escape(version)}'>"
            f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
            + "\n".join(parts) + "\n</body></html>\n")


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", left: int = 1) -> str:
    """A table; cells are HTML already, those after the first ``left`` are numbers."""
    kind = ["" if i < left else " class='n'" for i in range(len(head))]
    titles = "".join(f"<th{k}>{title}</th>" for k, title in zip(kind, head))
    body = "".join("<tr>" + "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kind, row)) + "</tr>" for row in rows)
    return f"<div class='wide'><table><caption>{caption}</caption><tr>{titles}</tr>{body}</table></div>"
