"""Speed and memory of ``create-data --use_model DECA``: photographs a second, against one photograph at a time.

    python benchmarks/deca.py [--photos 48] [--size 256] [--rounds 3] [--threads 2] [--data FOLDER]

Without ``--data`` (a folder of registered files) full-size stand-ins with random weights are written first: speed does not
depend on what the weights are. "overlapped" is the command's own way: photographs are read, searched for the face and
cropped on two threads while the network works on earlier ones, and written eight at a time. "one at a time" does the same
work, photograph after photograph: read, find, crop, network, write. The two take turns, each run in a process of its own,
so that other load falls on both alike and each tells its own peak memory; figures are medians over the rounds. Loading is
not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from diffusionrig.capture.encoder import EncoderOptions
from diffusionrig.capture.registry import make_encoder
from diffusionrig.data.creation import CreationOptions, create_store
from diffusionrig.data.photographs import read_photograph
from diffusionrig.data.records import code_arrays, store_header
from diffusionrig.data.sources import Labels, find_sources
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import MAX_MEGAPIXELS
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter
from diffusionrig.training.distributed import Launch, World

WAYS = ("overlapped", "one at a time")
HEAD = "flame-2020"


def portraits(folder: Path, count: int, size: int) -> None:
    """``count`` different portraits of ``size`` pixels as JPEG, aligned as create-data expects them."""
    from PIL import Image
    from skimage import data

    whole = Image.fromarray(data.astronaut())
    for index in range(count):
        side, left, top = 180 + 2 * (index % 24), 126 + index % 7, 4 + index % 5
        box = (left, top, left + side, top + side)
        whole.resize((size, size), Image.Resampling.BICUBIC, box=box).save(folder / f"{index:04d}.jpg", quality=92)


def measure(way: str, photos: str, store: str, size: int, threads: int) -> dict[str, float]:
    """Seconds, processor seconds and photographs used, without loading, and the process's peak memory in MB."""
    torch.set_num_threads(threads)
    head = load_head(HEAD)
    encoder = make_encoder("DECA", head, "cpu", EncoderOptions.as_published(size))
    start, used = time.perf_counter(), time.process_time()
    if way == WAYS[0]:
        count = create_store(CreationOptions((photos,), store, image_size=size), encoder, head,
                             World(Launch(), torch.device("cpu"), "none"))["used"]
    else:
        labels, sources = Labels((photos,)), find_sources((photos,), store)
        with StoreWriter(store, store_header(head, size, encoder.name)) as writer:
            for source in sources:
                photograph = read_photograph(source, labels, size, MAX_MEGAPIXELS)
                code = encoder.encode([photograph.capture]).code
                writer.append([Record(source.key, photograph.stored, code_arrays(code), photograph.fields)])
            count = len(writer)
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - used, "used": count,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def run_apart(way: str, photos: Path, args: argparse.Namespace, environment: dict[str, str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--run", way, "--photos_dir", str(photos), "--store", f"{folder}/store",
                   "--size", str(args.size), "--threads", str(args.threads)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"The run '{way}' failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--data", default="")
    parser.add_argument("--run", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--photos_dir", default="", help=argparse.SUPPRESS)
    parser.add_argument("--store", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(measure(args.run, args.photos_dir, args.store, args.size, args.threads)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch, "photos")
        photos.mkdir()
        portraits(photos, args.photos, args.size)
        data = Path(args.data or Path(scratch, "registered"))
        if not args.data:
            write_standins(data)
        environment = {**os.environ, "DIFFUSIONRIG_DATA": str(data),
                       "PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[1]),
                                                      os.environ.get("PYTHONPATH", "")])}
        rounds = [{way: run_apart(way, photos, args, environment) for way in WAYS} for _ in range(args.rounds)]
    print(f"{args.photos} photographs of {args.size} pixels, {args.threads} threads, torch {torch.__version__}; "
          f"medians of {args.rounds} rounds")
    print(f"{'':<16}{'photographs/s':>14}{'processor ms each':>19}{'peak MB':>9}")
    for way in WAYS:
        rows = [each[way] for each in rounds]
        print(f"{way:<16}{statistics.median(row['used'] / row['seconds'] for row in rows):>14.2f}"
              f"{statistics.median(1e3 * row['processor'] / row['used'] for row in rows):>19.0f}"
              f"{statistics.median(row['peak'] for row in rows):>9.0f}")
    ratio = statistics.median(each[WAYS[1]]["seconds"] / each[WAYS[0]]["seconds"] for each in rounds)
    print(f"overlapped / one at a time: {ratio:.2f}")


def write_standins(folder: Path) -> None:
    """FLAME and DECA in the real formats and sizes, with made-up contents."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from standins import write_head_standins
    from standins.checkpoints import deca_networks, write_deca

    write_head_standins(folder)
    write_deca(folder / "deca_model.tar", deca_networks())


if __name__ == "__main__":
    main()
