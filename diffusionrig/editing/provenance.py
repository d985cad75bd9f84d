"""Every edited image says that it is one: PNG text, or a video's comment, read back by ``diffusionrig verify``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from diffusionrig import __version__
from diffusionrig.errors import RigError
from diffusionrig.io.damage import parse_json_object
from diffusionrig.io.images import png_bytes, read_image, read_png_text, write_png
from diffusionrig.io.movies import movie_info
from diffusionrig.io.video import is_video

KEY = "diffusionrig"
STATEMENT = "AI-edited"


def pixel_hash(image: np.ndarray) -> str:
    """SHA-256 of an image's size and pixels, so that a later change of the picture shows."""
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()


def write_edited(path: Path, image: np.ndarray, *, model_hash: str, mode: str, **details: Any) -> None:
    """Write an edited (H, W, 3) uint8 image as PNG with its provenance."""
    write_png(path, image, _text(image, model_hash, mode, details))


def edited_png(image: np.ndarray, *, model_hash: str, mode: str, **details: Any) -> bytes:
    """The bytes of the file that ``write_edited`` writes."""
    return png_bytes(image, _text(image, model_hash, mode, details))


def _text(image: np.ndarray, model_hash: str, mode: str, details: dict[str, Any]) -> dict[str, str]:
    record = {"statement": STATEMENT, "software": f"diffusionrig {__version__}", "model": model_hash, "mode": mode,
              "pixels": pixel_hash(image), **details}
    return {"Software": f"diffusionrig {__version__}", "Comment": STATEMENT, KEY: json.dumps(record, sort_keys=True)}


def movie_record(*, model_hash: str, mode: str, **details: Any) -> str:
    """The comment of a video of edited frames; its frames, which the codec changes, are not hashed."""
    return json.dumps({"statement": STATEMENT, "software": f"diffusionrig {__version__}", "model": model_hash, "mode": mode,
                       **details}, sort_keys=True)


def read_movie_provenance(path: Path) -> dict[str, Any]:
    """The record of a video that ``movie_record`` made; ``intact`` is None, as nothing can be said. RigError without one."""
    try:
        record = parse_json_object(movie_info(path).comment)
    except ValueError:
        record = {}
    if record.get("statement") != STATEMENT:
        raise RigError(f"{path} carries no diffusionrig provenance: it was not made with this software, or its metadata "
                       "was removed.")
    return {**_whole(record, path), "intact": None}


def _whole(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """``record`` when it has the parts that every record has; else RigError naming the first that is missing or is no text."""
    for name in ("software", "mode", "model"):
        if not isinstance(record.get(name), str):
            raise RigError(f"The provenance record in {path} lacks its {name}; it was changed after it was written.")
    return record


def read_provenance(path: Path) -> dict[str, Any]:
    """The record of an edited image plus ``intact`` (are the pixels those that were written), or of a video; RigError without."""
    if is_video(path):
        return read_movie_provenance(path)
    text = read_png_text(path)
    if KEY not in text:
        raise RigError(f"{path} carries no diffusionrig provenance: it was not edited with this software, or its metadata "
                       "was removed.")
    try:
        record = parse_json_object(text[KEY])
    except ValueError as error:
        raise RigError(f"The provenance record in {path} is damaged ({error}).") from error
    if record.get("statement") != STATEMENT:
        raise RigError(f"The provenance record in {path} is not one that diffusionrig writes.")
    return {**_whole(record, path), "intact": record.get("pixels") == pixel_hash(read_image(path))}
