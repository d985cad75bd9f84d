"""The demo's report: one JSON, one page of Markdown, one sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionrig import __version__
from diffusionrig.demo.score import CANDIDATES, Scored
from diffusionrig.io.files import write_json, write_text
from diffusionrig.io.images import write_png
from diffusionrig.io.sheets import contact_sheet

HONEST_WORD = """## A word on quality

The scores are those of a synthetic person, whose true photograph after each edit is known. The real portrait is edited with the
general prior alone, at {size} pixels, and comes back whole in its own resolution: `portrait_edits/`, `portrait_serious/`,
`portrait_turned/`, `portrait_surprised/`. What the photograph shows is carried along; what it does not show (teeth behind closed
lips, the far cheek) the network draws, and there it is weakest. For a person with an album train stage 2 on about 20
photographs, which then lend each edit what its source lacks (`make demo-real` does that with a video).
"""


def write_score_sheet(path: Path, scored: Sequence[Scored]) -> None:
    """Source, target, truth, rendered buffer, carried photograph and result of every scored edit."""
    rows = [[item.source, item.target, item.truth, item.rendered, item.carried, item.result] for item in scored]
    titles = [f"{item.mode} {item.psnr['edit']:.1f} dB" for item in scored]
    write_png(path, contact_sheet(rows, ["source", "target", "truth", "rendered buffer", "carried", "edit"], titles, cell=128),
              {"Comment": "AI-edited"})


def score_table(scores: dict[str, Any]) -> str:
    """The scores as a Markdown table."""
    lines = ["| mode | measure | " + " | ".join(CANDIDATES) + " |", "| --- | --- |" + " --- |" * len(CANDIDATES)]
    for mode, values in scores.items():
        for measure, unit in (("psnr", "PSNR, dB"), ("ssim", "SSIM")):
            lines.append(f"| {mode} | {unit} | " + " | ".join(str(values[measure][name]) for name in CANDIDATES) + " |")
    return "\n".join(lines)


def write_report(root: Path, report: dict[str, Any]) -> None:
    """Write ``report.json`` and ``report.md``, and print the scores."""
    write_json(root / "report.json", {"software": f"diffusionrig {__version__}", **report})
    verdict = "\n".join(f"- {mode}: the edit {'beats both baselines' if won else 'does NOT beat both baselines'}"
                        for mode, won in report["beats_both_baselines"].items())
    count = next(iter(report["scores"].values()))["edits"]["count"]
    text = (f"# Demo\n\nMean over {count} edits a mode, measured on the face against the true photograph. The carried "
            "photograph is what the network starts from: the source's own pixels, moved by the mesh.\n\n"
            f"{score_table(report['scores'])}\n\n{verdict}\n\nTook {report['seconds']:.0f} s. Pictures: `edits_and_truth.png`, "
            f"`edits/contact_sheet.png`, `store.png`.\n\n{HONEST_WORD.format(size=report['image_size'])}")
    write_text(root / "report.md", text)
    print(f"\n{score_table(report['scores'])}\n\n{verdict}\n\nReport: {root / 'report.md'}; look at {root / 'edits_and_truth.png'}")
