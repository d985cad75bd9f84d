"""What ``NAME.json`` beside a prediction says of corpus, split and rate, held against what is asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from diffusionrig.errors import UsageError
from diffusionrig.reactions.corpus.corpus import Corpus, Split
from diffusionrig.reactions.corpus.layout import SPLITS
from diffusionrig.reactions.predicting import about_predictions, clips_hash

USUAL_SPLIT = "val"


@dataclasses.dataclass(frozen=True)
class Origin:
    """The ``split`` of a corpus that a prediction was made for, None without a corpus; its name; ``note``, a sentence where the
    file speaks of a corpus that is not there."""

    split: Split | None
    name: str
    note: str = ""


def origin_of(prediction: str | Path, data: str, split: str, item: int | None, fps: float | None) -> Origin:
    """Where a ``prediction`` comes from: by the flags ``--data``, ``--split`` and ``--fps``, which may be empty, else by the file
    beside it. UsageError where the two contradict each other."""
    about = about_predictions(prediction)
    said, where = _words(about), f"{Path(prediction).with_suffix('').name.removesuffix('_3dmm')}.json"
    if split and said["split"] and split != said["split"]:
        raise UsageError(f"--split {split} contradicts {where}, by which the prediction is one of the split {said['split']}; leave "
                         "--split out.")
    rate = about.get("fps")
    if fps is not None and isinstance(rate, (int, float)) and abs(rate - fps) > 1e-6:
        raise UsageError(f"--fps {fps:g} contradicts {where}, by which the prediction has {rate:g} frames a second; leave --fps "
                         "out.")
    name = split or (said["split"] if said["split"] in SPLITS else "") or USUAL_SPLIT
    place = data or (said["data"] if item is not None else "")
    if place and not data and not Path(place).is_dir():
        return Origin(None, name, f"The corpus {place}, which {where} names, is not there: drawn without its mean face, speaker "
                                  "and sound; give it with --data.")
    if not place:
        return Origin(None, name)
    if item is None:
        raise UsageError("--data needs --item, the number of the item in the split's mirrored order.")
    found = Corpus.open(place).split(name)
    if "clips" in about and about["clips"] != clips_hash(found):
        raise UsageError(f"The split {name} of {place} has other clips than those that {where} says the prediction was made for, "
                         "or the same in another order; give that corpus with --data, or leave --data out.")
    if not 0 <= item < len(found):
        raise UsageError(f"The split {name} of {place} holds {len(found)} items; --item {item} is not among 0 to "
                         f"{len(found) - 1}.")
    return Origin(found, name)


def _words(about: dict[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value := about.get(key), str) else "" for key in ("data", "split")}
