"""The chain of listener reactions: corpus -> train every system -> generate -> score -> one listener drawn as a real person."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig import __version__
from diffusionrig.demo.chain import PORTRAIT
from diffusionrig.demo.commands import flags, run_step
from diffusionrig.demo.real import fetch_video, write_frames
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.assets import asset_path
from diffusionrig.io.files import make_folder, read_json, write_json, write_text
from diffusionrig.reactions.corpus.corpus import Corpus
from diffusionrig.reactions.frames.layout import PURPOSES, Place, clip_name

REFERENCES = ("ground_truth", "inappropriate", "mean_frame", "mean_sequence", "mime", "random", "nearest")
"""Predictors without a network that a table is read by."""

SYSTEMS = ("stream", "faceais", "unifr", "perfrdiff")
SMOOTH = 1.5
"""Hertz to which the drawn reaction is smoothed at rest: small generators tremble."""

MEASURES = ("FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn")
MODES = ("official", "fixed")
DRAWN = "stream"
"""Whose reaction is drawn, where it is among the systems."""

LISTENER, ALBUM = 0.511, 12
"""Share of the video at which she looks ahead, her hands down, and how many later frames lend teeth, closed lips and lids."""


@dataclasses.dataclass(frozen=True)
class ReactSettings:
    """Sizes of the demo.

    systems   which are trained, each with its small configuration
    frames    of every clip; samples K of every item
    drawn     frames that are drawn; 0 for none, and no video is fetched
    personal  the listener's own model; the shipped prior when empty
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
    # Before the work, so that a network that is away is known early.
    video = _video(root) if settings.drawn else None
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
    clip = draw(settings, root, corpus, video) if settings.drawn else None
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


def _video(root: Path) -> Path | None:
    """The real demo's video; None, with a sentence, where it cannot be had."""
    try:
        return fetch_video(root)
    except RigError as error:
        print(f"{error} Until then the listener is drawn as the portrait that ships.")
        return None


def draw(settings: ReactSettings, root: Path, corpus: Path, video: Path | None) -> str:
    """The reaction to the first item, drawn as the woman of the real demo's ``video``, from one frame of it and an album of others,
    beside the speaker, who is drawn as the portrait that ships with the package, as is the listener without a video; returns the
    folder."""
    photos, listener = root / "photos", flags(listener=asset_path(PORTRAIT))
    if video is not None:
        write_frames(video, photos / "listener", [LISTENER])
        write_frames(video, photos / "album", (1 - (1 - LISTENER) * (np.arange(ALBUM)[::-1] + 0.5) / ALBUM).tolist())
        run_step("align", *flags(input_imgs_path=photos / "album", output_imgs_path=root / "aligned", output_size=256))
        run_step("create-data", *flags(data_dir=root / "aligned", output_dir=root / "store", image_size=256, use_meanshape=False))
        listener = flags(listener=photos / "listener" / "000.png", album=root / "store")
    frames = min(settings.drawn, settings.frames)
    split = Corpus.open(corpus).split("val")
    write_npy(root / "speaker_3dmm.npy", split.coefficients(split.items[0].speaker)[:frames])
    # The corpus rests at zero expression.
    run_step("react render", root / "speaker_3dmm.npy",
             *flags(output_dir=root / "speaker", listener=asset_path(PORTRAIT), neutral="none", columns="photo", fps=split.fps))
    spoken = Place.below(str(root / "speaker"), "speaker_3dmm", "version_0", "val", PURPOSES[0])
    name = DRAWN if DRAWN in settings.systems else settings.systems[0]
    model = flags(model_path=settings.personal) if settings.personal else ()
    run_step("react render", root / "predictions" / f"{name}_3dmm.npy", *model, *listener,
             *flags(output_dir=root / "frames", speaker=spoken.fake(clip_name(0, 0)), columns="speaker,photo", item=0, k=0,
                    frames=frames, neutral="none", smooth=SMOOTH))
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
