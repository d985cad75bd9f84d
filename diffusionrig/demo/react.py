"""The chain of listener reactions: corpus -> train every system -> generate -> score -> one listener drawn as herself."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionrig import __version__
from diffusionrig.demo.chain import CONSENT, DemoSettings, personalise
from diffusionrig.demo.commands import flags, run_step
from diffusionrig.demo.people import choose_cast, write_photographs
from diffusionrig.editing.pretrained import checkpoint_path, describe_prior
from diffusionrig.errors import UsageError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.files import make_folder, read_json, write_json, write_text

REFERENCES = ("ground_truth", "inappropriate", "mean_frame", "mean_sequence", "mime", "random", "nearest")
"""Predictors without a network that a table is read by."""

SYSTEMS = ("stream", "faceais", "unifr", "perfrdiff")
MEASURES = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn")
MODES = ("official", "fixed")
DRAWN = "stream"
"""Whose reaction is drawn, where it is among the systems."""


@dataclasses.dataclass(frozen=True)
class ReactSettings:
    """Sizes of the demo.

    systems   which are trained, each with its small configuration
    frames    of every clip; samples K of every item
    drawn     frames that are drawn; 0 for none, and no personal model is trained
    personal  the listener's own model; trained here when empty
    """

    output_dir: str = "log/demo-react"
    systems: tuple[str, ...] = SYSTEMS
    frames: int = 128
    samples: int = 10
    drawn: int = 100
    seed: int = 0
    personal: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.systems) - set(SYSTEMS))
        if unknown or not self.systems:
            raise UsageError(f"The demo knows no system {', '.join(unknown) or 'without a name'}; choose from "
                             f"{', '.join(SYSTEMS)}.")


def run_react_demo(settings: ReactSettings) -> dict[str, Any]:
    """Run the whole chain; returns the report. What an earlier run of the same settings finished is not done again."""
    began = time.monotonic()
    root = make_folder(settings.output_dir)
    corpus = root / "corpus"
    run_step("react synth", *flags(output_dir=corpus, seed=settings.seed, frames=settings.frames, au_mode="soft", micro=0.02,
                                   audio="mono"))
    run_step("react check", corpus)
    scores: dict[str, dict[str, Any]] = {}
    seconds: dict[str, dict[str, float]] = {}
    for name in REFERENCES:
        prediction = root / "predictions" / f"{name}.npy"
        if not prediction.with_suffix(".json").exists():
            run_step("react predict", *flags(data=corpus, split="val", predictor=name, samples=settings.samples,
                                             output=prediction))
        scores[name] = _scores(root, corpus, prediction)
    for name in settings.systems:
        prediction = root / "predictions" / f"{name}.npy"
        if not prediction.with_suffix(".json").exists():
            start = time.monotonic()
            run_step("react train", *flags(config=name, data=corpus, log_dir=root / "runs" / name))
            trained = time.monotonic()
            run_step("react generate", *flags(model_path=root / "runs" / name, data=corpus, split="val", mode="online",
                                              samples=settings.samples, seed=settings.seed, output=prediction))
            seconds[name] = {"training": round(trained - start, 1), "generating": round(time.monotonic() - trained, 1)}
        scores[name] = _scores(root, corpus, prediction)
    clip = draw(settings, root, corpus) if settings.drawn else None
    report = {"software": f"diffusionrig {__version__}", "settings": dataclasses.asdict(settings), "scores": scores,
              "seconds_of": seconds, "clip": clip, "seconds": round(time.monotonic() - began, 1)}
    write_json(root / "report.json", report)
    text = f"# Reactions\n\n{table(scores)}\n\nTook {report['seconds']:.0f} s.\n"
    write_text(root / "report.md", text)
    print(f"\n{table(scores)}\n\nReport: {root / 'report.md'}" + (f"; the drawn listener: {clip}" if clip else ""))
    return report


def _scores(root: Path, corpus: Path, prediction: Path) -> dict[str, Any]:
    """Values by mode and measure, scored once."""
    place = root / "scores" / prediction.stem
    if not (place / "scores.json").exists():
        run_step("react evaluate", prediction, *flags(data=corpus, split="val", mode="both", metrics=",".join(MEASURES),
                                                      output_dir=place))
    modes = read_json(place / "scores.json")["modes"]
    return {mode: {measure: modes[mode][measure]["value"] for measure in MEASURES} for mode in MODES}


def draw(settings: ReactSettings, root: Path, corpus: Path) -> str:
    """The reaction to the first item, drawn with the own model of the demo's synthetic person; returns the folder."""
    chain = DemoSettings(output_dir=str(root))
    prior = checkpoint_path(chain.prior)
    about = describe_prior(prior)
    cast = choose_cast(load_head(about["head"]), chain.seed, chain.album, 1, 1)
    write_photographs(cast, root / "photos")
    for group in ("album", "sources"):
        run_step("align", *flags(input_imgs_path=root / "photos" / group, output_imgs_path=root / "aligned" / group,
                                 output_size=256))
    model = settings.personal or str(personalise(chain, root, root / "aligned" / "album", prior, about["image_size"], CONSENT))
    name = DRAWN if DRAWN in settings.systems else settings.systems[0]
    # The corpus rests at zero expression.
    run_step("react render", root / "predictions" / f"{name}_3dmm.npy",
             *flags(output_dir=root / "frames", listener=root / "aligned" / "sources" / "000.png", model_path=model, data=corpus,
                    split="val", item=0, k=0, frames=min(settings.drawn, settings.frames), neutral="none", keep="all",
                    timestep_respacing="ddim10"))
    return str(root / "frames")


def table(scores: dict[str, dict[str, Any]], modes: Sequence[str] = MODES) -> str:
    """The scores as a Markdown table, official and fixed."""
    heads = [f"{measure} {mode}" for mode in modes for measure in MEASURES]
    lines = ["| | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    for name, values in scores.items():
        lines.append(f"| {name} | " + " | ".join(_number(values[mode][measure]) for mode in modes for measure in MEASURES) + " |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
