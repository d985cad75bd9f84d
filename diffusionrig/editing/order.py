"""What an editing run is asked to do, and whose results a folder may hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diffusionrig.editing.controls import Edit
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.io.files import read_json

REPORT = "report.json"


@dataclasses.dataclass(frozen=True)
class Order:
    """What an editing run is asked to do.

    ``source`` and ``target`` are a picture or a folder ("" for no target); ``limit`` caps the outputs; ``save_buffers``
    writes what each output was drawn from; ``notes`` is recorded in the report and is part of the request's identity.
    ``align_source`` says that sources are whole photographs, whose best face is cut out first. ``paste_back`` asks for results
    in the whole photographs too: the photograph or folder that the sources were cut from, "" for the sources themselves.
    """

    source: str
    target: str
    edits: Sequence[Edit]
    output_dir: str
    sampling: Sampling
    batch_size: int = 4
    source_model: str | None = None
    target_model: str | None = None
    max_megapixels: float = 100.0
    limit: int | None = None
    overwrite: bool = False
    save_buffers: bool = False
    align_source: bool = False
    paste_back: str | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def request(self, model_hash: str) -> dict[str, Any]:
        """What decides the pictures, as plain JSON values: equal requests give equal results."""
        whole = {"align_source": self.align_source, "paste_back": self.paste_back}
        asked = self.align_source or self.paste_back is not None
        return _plain({**self.notes, **(whole if asked else {}),
                       "model": model_hash, "source": self.source, "target": self.target,
                       "encoders": [self.source_model, self.target_model], "limit": self.limit,
                       "edits": [dataclasses.asdict(edit) for edit in self.edits],
                       "sampling": dataclasses.asdict(self.sampling.resolved())})

    def check(self) -> None:
        """UsageError when what is said about whole photographs contradicts itself."""
        if self.paste_back == "" and not self.align_source:
            raise UsageError("--paste_back needs the photograph or folder that the sources were cut from; with --align_source True "
                             "the sources are photographs themselves.")
        if self.paste_back and self.align_source:
            raise UsageError("--paste_back takes no value beside --align_source True, as results go back into the sources; leave "
                             "one of them out.")


def guard(folder: Path, request: dict[str, Any], overwrite: bool) -> None:
    """Refuse a folder that holds the results of another request."""
    if overwrite or not any(folder.glob("[0-9]*_*.png")):
        return
    if (folder / REPORT).is_file() and read_json(folder / REPORT).get("request") == request:
        return
    raise UsageError(f"{folder} already holds results of another edit; choose another --output_dir or --overwrite True.")


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a request equals the one read back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
