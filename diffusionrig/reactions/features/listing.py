"""What a file of features holds, as a table to read."""

from __future__ import annotations

import json

from diffusionrig.errors import RigError
from diffusionrig.reactions.corpus.unifr import SOUND_RATE, UnifrFile


def listing(file: UnifrFile) -> str:
    """One line per dataset (shape, type, rate, source), then one sentence per feature that was left out."""
    about = file.describe()
    lines = [f"{file.path}: {len(file)} clips"]
    if file.prepared:
        lines[0] += f" of {about.get('split', '?')} at {about.get('fps', '?')} frames a second, {about.get('order', '?')} order"
        lines[0] += f", sound at {about[SOUND_RATE]} Hz" if SOUND_RATE in about else ", sound at the rate of each file"
    names = file.fields
    width = max(map(len, names), default=0)
    for key in names:
        held = file.describe(key)
        rate = f"{held['rate']}/s" if held.get("rate") else "clip" if "rate" in held else ""
        shape = " x ".join(map(str, held["shape"]))
        lines.append(f"  {key.ljust(width)}  {shape:<24} {held['kind']:<8} {rate:<6} {held.get('source', '')}".rstrip())
        if held.get("alignment", "").startswith("Row"):
            lines.append(f"  {' ' * width}  {held['alignment']}")
    if "is_face" in names:
        shown = sum(int(file.read(row, ["is_face"])["is_face"].sum()) for row in range(len(file)))
        frames = sum(int(file.read(row, ["length"])["length"]) if "length" in names else 750 for row in range(len(file)))
        lines.append(f"  faces in {shown} of {frames} frames")
    try:
        skipped = json.loads(about.get("skipped", "{}"))
    except (TypeError, ValueError) as error:
        raise RigError(f"The attribute skipped of {file.path} is no JSON ({error}); prepare the features again.") from error
    lines += [f"  {sentence}" for sentence in skipped.values()]
    return "\n".join(lines)
