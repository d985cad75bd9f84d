"""Finding a model by the name that somebody gave it: an address, a file, or the ``.pt`` name that the published code would have
given the file."""

from __future__ import annotations

from pathlib import Path

from diffusionrig.errors import UsageError
from diffusionrig.io.files import existing_file
from diffusionrig.io.remote import local_copy

PUBLISHED = (".pt", ".pth")
MODELS = (".safetensors", *PUBLISHED)
SHOWN = 5


def find_model_file(path: str | Path, what: str) -> tuple[Path, str]:
    """The file at ``path``, fetched where that is an address, and "" or the sentence that says which other file was taken.

    Training writes ``model005000.safetensors`` where the published code writes ``model005000.pt``, so the one is taken where only
    the other is named. UsageError, which names the models that are there, when there is no such file.
    """
    file = local_copy(path)
    if file.is_dir():
        raise UsageError(f"{file} is a folder, but {what} is a file{_models_in(file) or '.'}")
    if not file.exists() and str(path):
        twin = file.with_suffix(".safetensors")
        if file.suffix in PUBLISHED and twin.is_file():
            return twin, f"{file} is not there; {twin.name} beside it is taken."
        if _models_in(file.parent):
            raise UsageError(f"There is no {what} at {file}{_models_in(file.parent)}")
    return existing_file(file, what), ""


def _models_in(folder: Path) -> str:
    """The end of a sentence that names the models in ``folder``, the last ones where there are many; "" without any."""
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix in MODELS and path.name.startswith("model"))
    except OSError:
        return ""
    more = " among others" if len(names) > SHOWN else ""
    return f"; {folder} holds {', '.join(names[-SHOWN:])}{more}, so name one of these." if names else ""
