"""The files of a run: which there are, how they are named, which are old."""

from __future__ import annotations

import re
from pathlib import Path

from diffusionrig.io.files import remove_files

_KINDS = {"model": r"model(\d+)\.(?:safetensors|pt)", "state": r"state(\d+)\.pt", "samples": r"samples(\d+)\.png",
          "average": r"ema(\d+)\.safetensors"}
_OTHERS = ("progress.csv", "progress.json", "log.txt", "config.yaml", "report.json", "metrics.csv", "training.png")


def step_in_name(path: str | Path) -> int:
    """The number in ``model000500.pt``: digits between the last "model" of the path and the next dot; else 0."""
    tail = str(path).rpartition("model")[2].split(".")[0]
    return int(tail) if tail.isdigit() and "model" in str(path) else 0


class RunFolder:
    """Names and finds the files of a run in ``path``. N in a name is the number of optimiser updates done."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def model(self, step: int) -> Path:
        return self.path / f"model{step:06d}.safetensors"

    def legacy(self, step: int) -> Path:
        return self.path / f"model{step:06d}.pt"

    def state(self, step: int) -> Path:
        return self.path / f"state{step:06d}.pt"

    def average(self, step: int) -> Path:
        return self.path / f"ema{step:06d}.safetensors"

    def samples(self, step: int) -> Path:
        return self.path / f"samples{step:06d}.png"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    def found(self, kind: str) -> dict[int, Path]:
        """Files of a kind (model, state, samples, average) by step, in order."""
        if not self.path.is_dir():
            return {}
        pairs = [(re.fullmatch(_KINDS[kind], path.name), path) for path in self.path.iterdir()]
        return dict(sorted((int(match[1]), path) for match, path in pairs if match))

    def holds_run(self) -> bool:
        """Whether a run has left models or states here."""
        return bool(self.found("model") or self.found("state"))

    def prune_states(self, keep: int) -> None:
        """Delete all but the ``keep`` newest states."""
        remove_files(list(self.found("state").values())[:-keep])

    def forget_after(self, step: int) -> None:
        """Delete the states of later steps; models stay until they are written again."""
        remove_files([path for later, path in self.found("state").items() if later > step])

    def forget_averages_after(self, step: int) -> None:
        """Delete the snapshots of averages beyond ``step``, where a run goes on: they may be of another course of it."""
        remove_files([path for later, path in self.found("average").items() if later > step])

    def clear(self) -> None:
        """Delete the files of a run, and nothing else."""
        files = [path for kind in _KINDS for path in self.found(kind).values()]
        remove_files([*files, *(self.path / name for name in _OTHERS)])
