"""Plain copies of registered files, made once by ``convert-assets``: where they lie and when they are taken."""

from __future__ import annotations

from pathlib import Path

# What a registered file becomes, by its ending; the name before it stays.
_BY_NAME = {"FLAME_texture.npz": "FLAME_texture_50.npz", "FLAME_albedo_from_BFM.npz": "FLAME_albedo_from_BFM_50.npz"}
_BY_ENDING = {".pkl": ".npz", ".npy": ".npz", ".tar": ".safetensors", ".pt": ".safetensors"}
_UNCHANGED = {"fixed_displacement_256.npy", "l_eyelid.npy", "r_eyelid.npy"}
EMOCA_FILE = "emoca.safetensors"


def converted_path(path: str | Path) -> Path | None:
    """Where the plain copy of the registered file (or, for EMOCA, model folder) ``path`` would lie; None when it has none."""
    path = Path(path)
    if path.name in _BY_NAME:
        return path.with_name(_BY_NAME[path.name])
    if path.name not in _UNCHANGED and path.suffix in _BY_ENDING:
        return path.with_suffix(_BY_ENDING[path.suffix])
    if path.parent.name == "emoca":
        return path / EMOCA_FILE
    return None


def newest(path: Path, originals: list[Path] | None = None) -> Path:
    """The plain copy of ``path`` when it is there and no ``originals`` (default: ``path``) is newer, else ``path``."""
    copy = converted_path(path)
    if copy is None or not copy.is_file():
        return path
    present = [original for original in (originals if originals is not None else [path]) if original.is_file()]
    try:
        made = copy.stat().st_mtime_ns
        return copy if all(original.stat().st_mtime_ns <= made for original in present) else path
    except OSError:
        return path
