"""Damaged files of every kind against every reader: exceptions that are not ours, hangs, memory, crashes.

    python benchmarks/reliability_mutations.py [--count 10000] [--seed 1] [--only png,yaml] [--keep DIR] [--json FILE]

Case n of a seed is the same file on every machine with the same libraries. Readers run in child processes, so that a crash of a
library is counted and ends nothing; these start afresh, with neither locks nor open files of their parent, and end by themselves
when it is gone. Exit status 1 when anything of ours failed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import json
import multiprocessing as mp
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from reliability.inputs import make_inputs
from reliability.mutating import mutate
from reliability.readers import BYTES, SECONDS, quiet, readers_of, watched

PATIENCE = 30.0
"""Seconds without a word after which a child counts as hanging."""

ADDRESSES = 6 << 30


def case(inputs: dict[str, Path], seed: int, number: int, folder: Path) -> tuple[str, str, Path]:
    """The damaged file of case ``number``: which input, what was done, where it lies."""
    random = np.random.default_rng([seed, number])
    name = sorted(inputs)[number % len(inputs)]
    data, done = mutate(inputs[name].read_bytes(), name, random)
    place = folder / f"{name}_{number}" / inputs[name].name
    place.parent.mkdir()
    place.write_bytes(data)
    return name, done, place


def watch_case(inputs: dict[str, Path], seed: int, number: int, folder: Path, keep: str = "") -> tuple[str, list[dict[str, Any]]]:
    """The name of the input of case ``number``, and what its readers did that they should not."""
    name, done, place = case(inputs, seed, number, folder)
    faults = []
    for position, read in enumerate(readers_of(name, place)):
        seen = watched(read, place)
        if seen["seconds"] > SECONDS:  # another process may have had the processor
            seen["seconds"] = min(seen["seconds"], watched(read, place)["seconds"])
        if seen["error"] or seen["seconds"] > SECONDS or seen["bytes"] > BYTES:
            faults.append({"number": number, "input": name, "done": done, "reader": position, **seen})
    if faults and keep:
        Path(keep).mkdir(parents=True, exist_ok=True)
        os.replace(place, Path(keep) / f"{number}-{place.name}")
    shutil.rmtree(place.parent)
    return name, faults


def work(inputs: dict[str, Path], seed: int, numbers: range, folder: Path, keep: str, send: Connection) -> None:
    """Cases one after another; each is named before it is tried."""
    quiet()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    with contextlib.suppress(BrokenPipeError):  # whoever wanted to know is gone
        for number in numbers:
            # Nor may a library that never returns outlive its parent for long.
            faulthandler.dump_traceback_later(2 * PATIENCE, exit=True)
            send.send(("begin", number))
            send.send(("end", number, *watch_case(inputs, seed, number, folder, keep)))


def run(count: int, seed: int, only: list[str], keep: str = "", tell: bool = True, first: int = 0) -> dict[str, Any]:
    """All cases of a seed; the counts, and every fault."""
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "in").mkdir()
        inputs = {name: file for name, file in make_inputs(root / "in").items() if not only or name in only}
        report: dict[str, Any] = {"seed": seed, "cases": 0, "readings": 0, "inputs": sorted(inputs), "faults": [], "crashes": [],
                                  "by_input": collections.Counter()}
        at, began = first, time.monotonic()
        while at < first + count:
            receive, send = context.Pipe(False)
            child = context.Process(target=work, args=(inputs, seed, range(at, first + count), root, keep, send))
            child.start()
            send.close()
            open_case = None
            while True:
                try:
                    if not receive.poll(PATIENCE):
                        child.kill()
                        report["faults"].append({"number": open_case, "error": "hang", "text": f"no end after {PATIENCE:g} s"})
                        at = (open_case if open_case is not None else at) + 1
                        break
                    message = receive.recv()
                except EOFError:
                    child.join()
                    if open_case is not None:
                        name = sorted(inputs)[open_case % len(inputs)]
                        number = -child.exitcode if child.exitcode else 0
                        how = signal.Signals(number).name if number > 0 else f"status {child.exitcode}"
                        report["crashes"].append({"number": open_case, "input": name, "how": how})
                        at = open_case + 1
                    else:
                        at = first + count
                    break
                if message[0] == "begin":
                    open_case = message[1]
                    continue
                open_case, at = None, message[1] + 1
                report["cases"] += 1
                report["by_input"][message[2]] += 1
                report["faults"] += message[3]
                if tell:
                    for fault in message[3]:
                        print(json.dumps(fault), flush=True)
                    if report["cases"] % 500 == 0:
                        print(f"{report['cases']} cases, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            child.join()
        report["seconds"] = time.monotonic() - began
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="names of inputs, comma separated")
    parser.add_argument("--keep", default="", help="folder in which files that showed a fault are kept")
    parser.add_argument("--json", default="", help="file for the whole report")
    args = parser.parse_args()
    report = run(args.count, args.seed, [word for word in args.only.split(",") if word], args.keep, first=args.first)
    kinds = collections.Counter("slow" if not fault["error"] and fault["seconds"] > SECONDS else "memory" if not fault["error"] else
                                fault["error"] for fault in report["faults"])
    print(f"{report['cases']} damaged files of {len(report['inputs'])} kinds, seed {args.seed}, in {report['seconds']:.0f} s: "
          f"{len(report['faults'])} faults ({', '.join(f'{number} {kind}' for kind, number in kinds.items()) or 'none'}), "
          f"{len(report['crashes'])} crashes of libraries")
    for crash in report["crashes"]:
        print(f"crash: case {crash['number']}, {crash['input']}: {crash['how']}")
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=2))
    return int(bool(report["faults"]))


if __name__ == "__main__":
    sys.exit(main())
