"""What a store holds, in numbers and in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig.data.batches import render_codes
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.damage import reading
from diffusionrig.io.sheets import contact_sheet, to_uint8
from diffusionrig.io.store import open_store

HISTOGRAM_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def store_statistics(path: str | Path) -> dict[str, Any]:
    """Header, counts, bytes per record, and mean, deviation and range of every code array over all records.

    ``codes`` maps each array to {size, mean, std, min, max} over its values; ``confidence`` is a histogram over
    HISTOGRAM_EDGES; ``fields`` counts the records that have each field.
    """
    store = open_store(path)
    arrays: dict[str, list[np.ndarray]] = {}
    fields: dict[str, int] = {}
    for i in range(len(store)):
        record = store.record(i, image=False)
        for name, array in record.arrays.items():
            arrays.setdefault(name, []).append(array.ravel())
        for name in record.fields:
            fields[name] = fields.get(name, 0) + 1
    with reading(f"The store {path}", "holds records whose codes differ in length", "create it again"):
        joined = {name: np.stack(rows).astype(np.float64) for name, rows in arrays.items()}
    codes = {name: {"size": values.shape[1], "mean": values.mean(), "std": values.std(), "min": values.min(),
                    "max": values.max()} for name, values in joined.items()}
    sizes = np.array([store.record_bytes(i) for i in range(len(store))])
    histogram: list[int] = []
    if "confidence" in joined:
        histogram = np.histogram(np.clip(joined["confidence"], 0, 1), HISTOGRAM_EDGES)[0].tolist()
    return {"header": store.header, "count": len(store), "refused": store.refused(),
            "bytes_mean": float(sizes.mean()) if len(sizes) else 0.0, "bytes_max": int(sizes.max(initial=0)),
            "codes": codes, "confidence": histogram, "fields": dict(sorted(fields.items()))}


def store_sheet(path: str | Path, head: HeadModel | None, columns: int = 8) -> np.ndarray:
    """Contact sheet (H, W, 3) uint8: rows image, rendered, normal, albedo; ``columns`` records spread over the store.

    ``head`` renders the buffers of a store that keeps codes only.
    """
    dataset = FaceStoreDataset(path, head=head)
    chosen = np.unique(np.linspace(0, len(dataset) - 1, columns).round().astype(int)).tolist()
    rows: list[list[np.ndarray]] = [[], [], [], []]
    for i in chosen:
        sample = dataset.item(i)
        if sample.buffers is not None:
            buffers = sample.buffers
        else:
            assert head is not None
            assert sample.code is not None
            buffers = render_codes(sample.code, head, dataset.image_size)[0]
        rendered, normal, albedo = torch.split(buffers, 3)
        rows[0].append(np.moveaxis(sample.image.numpy(), 0, -1))
        rows[1].append(to_uint8(rendered.numpy()))
        # Mid-grey around the head, as normals are zero there.
        rows[2].append(to_uint8(normal.numpy(), -1.0, 1.0))
        rows[3].append(to_uint8(albedo.numpy()))
    return contact_sheet(rows, [str(i) for i in chosen], ("image", "rendered", "normal", "albedo"),
                         cell=min(256, max(96, dataset.image_size)))
