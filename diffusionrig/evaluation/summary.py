"""From measured edits to a report: medians per mode, what each number means, and how the run can be repeated."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from diffusionrig import __version__
from diffusionrig.evaluation.control import MEANINGS, UNITS
from diffusionrig.evaluation.measure import CANDIDATES, EDIT, TRUTH, Measured

DEFINITIONS = {
    "edit": "what the checkpoint draws",
    "truth": "the true photograph of the edit, captured or compared in the same way: the floor, which no checkpoint can be "
             "expected to beat",
    "source": "baseline: the source as it is",
    "buffer": "baseline: the rendered buffer that the edit was drawn from, by itself",
    "target": "the picture that the edit takes from",
    "control": "distance of what is captured from a picture from what it was asked to show, per part; smaller is better. "
               + "; ".join(f"{part}: {meaning} ({UNITS[part]})" for part, meaning in MEANINGS.items()),
    "identity": "cosine between the embeddings of a picture and of the source; larger is more alike. truth is another true "
                "photograph of the same person, target one of somebody else, so the edit should come near the one and stay "
                "away from the other",
    "psnr": "peak signal-to-noise ratio against the truth on the face, dB, at most 100; larger is better",
    "ssim": "structural similarity to the truth on the face; larger is better",
    "lpips": "LPIPS 0.1 (AlexNet) to the truth over the whole picture; smaller is better; null without its files",
    "background": "mean absolute difference from the source outside of both heads, grey levels of 255; smaller is better. Hair "
                  "and clothes count as background here, so the truth has some as well",
    "found": "share of pictures in which a face was found again",
}


def statistics(values: Iterable[float | None]) -> dict[str, float | int] | None:
    """Median, mean, 90th and 10th percentile and count of what was measured; None when nothing was."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known):
        return None
    low, middle, high = np.percentile(known, [10, 50, 90])
    return {"median": _short(middle), "mean": _short(known.mean()), "p10": _short(low), "p90": _short(high), "count": len(known)}


def _short(value: float) -> float:
    return float(f"{value:.5g}")


def summarise(measured: Sequence[Measured]) -> dict[str, Any]:
    """{mode: {control: {part: {candidate: statistics}}, found, identity, psnr, ssim, lpips, background}}."""
    groups: dict[str, list[Measured]] = defaultdict(list)
    for item in measured:
        groups[item.mode].append(item)
    return {mode: _of_mode(items) for mode, items in groups.items()}


def _of_mode(items: Sequence[Measured]) -> dict[str, Any]:
    def over(field: str, name: str, key: str | None = None) -> dict[str, float | int] | None:
        values = [getattr(item, field).get(name) for item in items]
        return statistics(value if key is None or value is None else value.get(key) for value in values)

    found = {name: [item.control[name] is not None for item in items if name in item.control] for name in CANDIDATES}
    return {"edits": len(items), "changes": items[0].parts,
            "control": {part: {name: over("control", name, part) for name in CANDIDATES} for part in UNITS},
            "found": {name: _short(float(np.mean(seen))) if seen else None for name, seen in found.items()},
            "identity": {name: over("identity", name) for name in (EDIT, TRUTH, "target")},
            **{key: {name: over("quality", name, key) for name in (EDIT, "source", "buffer")} for key in ("psnr", "ssim", "lpips")},
            "background": {name: over("background", name) for name in (EDIT, TRUTH)}}


def worst(measured: Sequence[Measured], count: int) -> list[tuple[str, str, Measured]]:
    """(part, what is wrong, edit): of every part the ``count`` edits that missed it most, a face that was not found first."""
    cases = []
    for part in UNITS:
        missed = []
        for item in (item for item in measured if part in item.parts):
            errors = item.control[EDIT]
            missed.append((float("inf") if errors is None else errors[part], item))
        missed.sort(key=lambda case: -case[0])
        for error, item in missed[:count]:
            text = "no face was found in the edit" if error == float("inf") else f"{part} is {error:.1f} {UNITS[part]} off"
            cases.append((part, text, item))
    return cases


def peak_memory(device: torch.device) -> dict[str, float | None]:
    """The most memory so far, MB: of the process, and of tensors on the GPU (None without one)."""
    resident = None
    try:
        import resource
    except ImportError:  # not on Windows
        pass
    else:
        # Linux counts in kilobytes, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        resident = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
    on_gpu = round(torch.cuda.max_memory_allocated(device) / 1e6, 1) if device.type == "cuda" else None
    return {"process_mb": resident, "gpu_mb": on_gpu}


def versions(device: torch.device) -> dict[str, str]:
    """Software and machine that the numbers, above all the times, belong to."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU"
    return {"diffusionrig": __version__, "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version(),
            "device": name, "threads": str(torch.get_num_threads())}


def configuration_hash(configuration: dict[str, Any]) -> str:
    """SHA-256 of the configuration; equal ones give equal numbers."""
    return hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
