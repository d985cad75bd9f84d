"""Size and reading speed of face stores: the published format against ours with codes, uint8 or float16 buffers.

    python benchmarks/store.py [--count 200] [--image_size 256] [--photo FILE]

Every store holds the same photographs (crops of one picture) and the same heads. Read times are for
single samples in random order, decoded to tensors; for stores of codes the time to render the buffers is given apart.
"""

from __future__ import annotations

import argparse
import pickle
import tempfile
import time
from pathlib import Path

import lmdb
import numpy as np
import torch

from diffusionrig.data.batches import render_codes
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.photographs import PNG_LEVEL
from diffusionrig.data.records import code_arrays, store_header
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import png_bytes, read_image
from diffusionrig.io.record import Record
from diffusionrig.io.resize import resize_square
from diffusionrig.io.store import StoreWriter


def random_codes(head: HeadModel, count: int) -> FaceCode:
    """Heads of random identity, expression and turn, in the middle of the picture."""
    random = torch.Generator().manual_seed(0)
    light = torch.zeros(count, 9, 3)
    light[:, 0] = 2.5
    code = FaceCode(shape=torch.randn(count, head.n_shape, generator=random),
                    albedo=torch.randn(count, head.n_albedo, generator=random),
                    expression=torch.rand(count, head.n_expression, generator=random) * 0.3,
                    pose=torch.randn(count, 6, generator=random) * 0.1,
                    camera=torch.tensor([[7.5, 0.0, 0.0]]).repeat(count, 1), light=light, head=head.name)
    face = head.landmarks(head.vertices(code), code).mean(1)
    return code.replace(camera=torch.cat([code.camera[:, :1], -face[:, :2]], 1))


def photographs(photo: Path, count: int, size: int) -> list[bytes]:
    """Random crops of one picture, as create-data stores photographs."""
    random = np.random.default_rng(0)
    image = read_image(photo)
    side = int(min(image.shape[:2]) * 0.8)
    corners = [[random.integers(0, edge - side + 1) for edge in image.shape[:2]] for _ in range(count)]
    return [png_bytes(resize_square(image[top:top + side, left:left + side], size), level=PNG_LEVEL)
            for top, left in corners]


def publish(folder: Path, pictures: list[bytes], buffers: list[np.ndarray]) -> None:
    """A store as the published create_data.py writes it."""
    with lmdb.open(str(folder), map_size=1 << 40) as environment:
        for i, (picture, planes) in enumerate(zip(pictures, buffers)):
            with environment.begin(write=True) as transaction:
                transaction.put(b"image_%06d" % i, picture)
                for name, part in zip(("rendered", "normal", "albedo"), torch.from_numpy(planes).split(3)):
                    transaction.put(f"{name}_{i:06d}".encode(), pickle.dumps(part.clone()))
        with environment.begin(write=True) as transaction:
            transaction.put(b"length", str(len(pictures)).encode())


def milliseconds_per_read(folder: Path, count: int) -> float:
    """Median over samples read once each in random order."""
    dataset, times = FaceStoreDataset(folder), []
    for i in np.random.default_rng(1).permutation(count).tolist():
        start = time.perf_counter()
        dataset.item(i)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--photo", type=Path, default=None, help="picture to crop; default: the portrait in the package")
    args = parser.parse_args()
    head, size = load_head(), args.image_size
    codes = random_codes(head, args.count)
    start = time.perf_counter()
    buffers = [planes.numpy() for first in range(0, args.count, 8) for planes in render_codes(codes[first:first + 8], head, size)]
    rendering = 1e3 * (time.perf_counter() - start) / args.count
    pictures = photographs(args.photo or asset_path("portrait.jpg"), args.count, size)
    print(f"{args.count} samples of {size} x {size}; rendering buffers takes {rendering:.1f} ms a sample (batches of 8, "
          f"{torch.get_num_threads()} threads)")
    print(f"{'store':<22}{'bytes a sample':>16}{'ms a read':>12}")
    with tempfile.TemporaryDirectory() as place:
        for kind in ("published", "none", "uint8", "float16"):
            folder = Path(place) / kind
            if kind == "published":
                publish(folder, pictures, buffers)
            else:
                with StoreWriter(folder, store_header(head, size, "benchmark", kind)) as writer:
                    for i in range(args.count):
                        writer.append([Record(str(i), pictures[i], code_arrays(codes[i]), {},
                                              None if kind == "none" else buffers[i])])
            used = (folder / "data.mdb").stat().st_blocks * 512 / args.count
            name = {"published": "published", "none": "codes"}.get(kind, f"codes + {kind}")
            print(f"{name:<22}{used:>16,.0f}{milliseconds_per_read(folder, args.count):>12.1f}")


if __name__ == "__main__":
    main()
