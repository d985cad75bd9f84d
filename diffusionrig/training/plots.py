"""``training.png``: the curves of a run, from its ``progress.csv`` and ``metrics.csv``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from diffusionrig.errors import UsageError
from diffusionrig.io.charts import FAINT, Line, Panel, line_charts
from diffusionrig.io.images import write_png
from diffusionrig.io.journal import read_table

# column: (title, logarithmic, smoothed)
PROGRESS = {"loss": ("loss, as logged and smoothed", True, True), "grad_norm": ("gradient norm before clipping", True, True),
            "lr": ("learning rate", False, False), "held-out loss": ("loss on held-out photographs", False, False)}
METRICS = {"texture_frechet": "texture distance to photographs (lower is better)", "face_psnr": "PSNR on the face, dB (higher)",
           "face_ssim": "SSIM on the face (higher)", "colour_error": "colour error of the face, grey levels (lower)",
           "landmark_error": "landmark error, % of eye distance (lower)", "landmarks_found": "share of faces found again (higher)"}
MOST_POINTS = 2000  # of a curve; more would not be seen

Row = Mapping[str, str]


def series(rows: Sequence[Row], column: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps (N,) and values (N,) of a column, in order; of a step that was logged twice, the later row counts. Cells that hold no
    finite number are left out."""
    found: dict[float, float] = {}
    for row in rows:
        try:
            step, value = float(row["step"]), float(row[column])
        except (KeyError, TypeError, ValueError):
            continue
        if np.isfinite([step, value]).all():
            found[step] = value
    steps = sorted(found)
    return np.array(steps), np.array([found[step] for step in steps])


def smoothed(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a thirtieth of the curve around each point, narrower towards the ends."""
    half = len(values) // 60
    total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    index = np.arange(len(values))
    reach = np.minimum(half, np.minimum(index, len(values) - 1 - index))
    return (total[index + reach + 1] - total[index - reach]) / (2 * reach + 1)


def training_chart(progress: Sequence[Row], metrics: Sequence[Row], heading: str) -> np.ndarray:
    """(H, W, 3) uint8: a panel for each known figure that was logged, and for each column of the metrics."""
    panels = []
    for column, (title, log, smooth) in PROGRESS.items():
        steps, values = series(progress, column)
        if not len(steps):
            continue
        every = -(-len(steps) // MOST_POINTS)
        raw = Line(steps[::every], values[::every], FAINT if smooth else Line.colour, 1.0 if smooth else 1.6)
        panels.append(Panel(title, [raw, Line(steps[::every], smoothed(values)[::every])] if smooth else [raw], log))
    names = list(dict.fromkeys([*METRICS, *(name for row in metrics for name in row)]))
    for column in names:
        steps, values = series(metrics, column)
        if column != "step" and len(steps):
            panels.append(Panel(METRICS.get(column, column), [Line(steps, values, dots=True)]))
    return line_charts(panels, heading)


def plot_run(run: str | Path, output: str | Path | None = None) -> Path:
    """Draw the curves of a run, whose folder or ``progress.csv`` is given, into ``output`` (``training.png`` beside it)."""
    given = Path(run)
    table = given if given.suffix == ".csv" else given / "progress.csv"
    if not table.is_file():
        raise UsageError(f"There is no {table.name} at {table.parent}; name the --log_dir of a training that wrote one (unless "
                         "OPENAI_LOG_FORMAT left csv out).")
    progress, metrics = read_table(table), read_table(table.with_name("metrics.csv"))
    if not any(len(series(progress, column)[0]) for column in PROGRESS):
        raise UsageError(f"{table} logs no loss over steps, so there is nothing to draw; name the progress.csv of a training.")
    place = Path(output) if output else table.with_name("training.png")
    write_png(place, training_chart(progress, metrics, f"{table.parent.resolve().name}: {len(progress)} log lines"))
    return place
