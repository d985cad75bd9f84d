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
from diffusionrig.io.folder_lock import in_use
from diffusionrig.io.own_files import own_report, own_text, require_own

REPORT, SHEET = "report.json", "contact_sheet.png"

OWN = {REPORT: own_report("edit", "request", "software", "outputs"), SHEET: own_text("Comment", "AI-edited")}
"""Files of fixed names in a folder of edits, and how they are known to come from an edit."""

OUTPUTS = ("aligned", "photo", "both")
"""aligned: the square of the face as the network draws it, as published. photo: the whole photograph in its own resolution. both:
the former, and the latter in a folder of its own."""

UNPLACED = ("--paste_back needs the photograph or folder that the sources were cut from; with --align_source True "
            "the sources are photographs themselves.")


@dataclasses.dataclass(frozen=True)
class Order:
    """What an editing run is asked to do.

    ``source`` and ``target`` are a picture or a folder ("" for no target); ``limit`` caps the outputs; ``save_buffers``
    writes what each output was drawn from; ``notes`` is recorded in the report and is part of the request's identity.
    ``align_source`` says that sources are whole photographs, whose face is cut out first, that of number ``face`` by size from 1;
    None looks at each source, and then at each target, whether it is aligned already. ``output``, a word of ``OUTPUTS``, says what
    is written; "" writes whole photographs where a face was cut out, and aligned pictures of others. ``paste_back`` asks for both,
    and names the photograph or folder that the sources were cut from, "" for the sources themselves.
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
    align_source: bool | None = False
    face: int = 1
    output: str = ""
    paste_back: str | None = None
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def request(self, model_hash: str) -> dict[str, Any]:
        """What decides the pictures, as plain JSON values: equal requests give equal results."""
        whole = {"align_source": self.align_source, "paste_back": self.paste_back, "face": self.face, "output": self.output}
        asked = self.align_source is not False or self.paste_back is not None or bool(self.output)
        return _plain({**self.notes, **(whole if asked else {}),
                       "model": model_hash, "source": self.source, "target": self.target,
                       "encoders": [self.source_model, self.target_model], "limit": self.limit,
                       "edits": [dataclasses.asdict(edit) for edit in self.edits],
                       "sampling": dataclasses.asdict(self.sampling.resolved())})

    def check(self) -> None:
        """UsageError when what is said about whole photographs contradicts itself."""
        if self.paste_back == "" and self.align_source is False:
            raise UsageError(UNPLACED)
        if self.paste_back and self.align_source:
            raise UsageError("--paste_back takes no value beside --align_source True, as results go back into the sources; leave "
                             "one of them out.")
        if self.paste_back is not None and self.output not in {"", "both"}:
            raise UsageError(f"--paste_back writes aligned pictures and whole photographs, which --output {self.output} "
                             "contradicts; leave one of them out.")
        if self.face < 1:
            raise UsageError(f"--face {self.face} does not exist; faces are counted by size from 1, the largest.")
        if self.face > 1 and (self.align_source is False or self.paste_back):
            raise UsageError(f"--face {self.face} chooses among the faces of a whole photograph, but the sources are said to be "
                             "aligned already; leave --align_source and --paste_back out.")


def guard(folder: Path, request: dict[str, Any], overwrite: bool) -> None:
    """Refuse a folder that holds the results of another request, and one whose report is not of an edit."""
    require_own(folder, OWN, "--output_dir")
    if not overwrite and _taken(folder, request):
        raise UsageError(f"{folder} already holds results of another edit; choose another --output_dir or --overwrite True.")


def free_folder(usual: Path, request: dict[str, Any]) -> Path:
    """``usual``, or the first of usual-2, usual-3 ... that neither holds the results of another request nor is in use."""
    number, folder = 1, usual
    while in_use(folder) or _taken(folder, request):
        number += 1
        folder = usual.with_name(f"{usual.name}-{number}")
    return folder


def _taken(folder: Path, request: dict[str, Any]) -> bool:
    """Whether a folder holds the results of another request."""
    if not any(folder.glob("[0-9]*_*.png")):
        # Beside a report of somebody else there is no place for ours either.
        return any((folder / name).exists() and not own(folder / name) for name, own in OWN.items())
    return not (folder / REPORT).is_file() or read_json(folder / REPORT).get("request") != request


def _plain(value: Any) -> Any:
    """Tuples as lists, so that a request equals the one read back from JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
