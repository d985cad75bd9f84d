"""What a run learned from, and whether what it is given now is that: the photographs count, not the path they lie at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.identity import MOST, StoreIdentity
from diffusionrig.errors import UsageError
from diffusionrig.io.store import open_store
from diffusionrig.training.options import TrainOptions

STORES = "stores"


def store_names(options: TrainOptions) -> list[str]:
    """The stores that ``--data_dir`` names: one, or several with commas between them."""
    whole = Path(options.data_dir).exists() or "://" in options.data_dir
    return [options.data_dir] if whole else [name.strip() for name in options.data_dir.split(",") if name.strip()]


def describe_stores(datasets: Sequence[FaceStoreDataset]) -> dict[str, Any]:
    """What a run says about its data: the first store's name, the number of photographs, and the identity of every store."""
    return {"store": datasets[0].path.name, "records": sum(map(len, datasets)),
            STORES: [dataset.identity.as_json() for dataset in datasets]}


def other_stores(meta: Mapping[str, Any], options: TrainOptions) -> str:
    """Why the stores of ``--data_dir`` are not those that the run described by ``meta`` learned from, as part of a sentence; ""
    when they are, grown since or not. Runs of before stores had an identity are told by name and number."""
    known = meta.get("data")
    if not known:
        return ""
    given = {name: open_store(name) for name in store_names(options)}
    if STORES not in known:
        same = any(Path(name).name == known["store"] and len(store) >= known["records"] for name, store in given.items())
        return "" if same else f"it learned from {known['store']} with {known['records']} photographs"
    for values in known[STORES]:
        identity = StoreIdentity.from_json(values)
        missing = min(identity.missing_in(store) for store in given.values())
        if missing:
            return (f"it learned from {identity.name} with {identity.records} photographs, of which at least {missing} are not in "
                    f"{options.data_dir}")
    return ""


def require_same_stores(meta: Mapping[str, Any], options: TrainOptions, folder: Path) -> None:
    """UsageError when a run in ``folder`` would go on with other photographs than it learned from."""
    reason = other_stores(meta, options)
    if reason:
        raise UsageError(f"The run in {folder} cannot go on with --data_dir {options.data_dir}: {reason}; choose another "
                         "--log_dir, or start over with --resume never --overwrite True.")


def is_that_corpus(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the data of a task is what its run learned from, or that with more items: ``hash`` is of all of it, ``items`` counts,
    ``clips`` are the least marks of the items. Runs that do not say what they learned from go on."""
    if "hash" not in before or before["hash"] == now.get("hash"):
        return True
    known, given = set(str(before.get("clips", "")).split()), sorted(str(now.get("clips", "")).split())
    # Only the least marks are there: of the greater ones nothing can be said.
    reach = given[-1] if len(given) >= MOST else "g"
    return bool(known) and now.get("items", 0) > before["items"] and {mark for mark in known if mark <= reach} <= set(given)
