"""SIGKILLs at random moments: every command is killed, started again, and must end with what it would have made undisturbed.

    python benchmarks/reliability_kills.py [--kills 200] [--seed 0] [--jobs align,edit] [--folder DIR] [--report FILE.json]

Each round starts a command in an empty folder, kills it up to three times (at a random second, or while its n-th temporary file is
there; of two ranks one or both), starts it again each time, and lets the last start end. After every kill all files of final names
must be whole; at the end the folder must hold the files of an undisturbed run with the same contents, and nothing else: no
temporary files, no lock, no row twice. The moments follow from the seed; how far a run has come by then is the machine's affair.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from kills.holding import contents, damaged, differences
from kills.killing import PATIENCE, SURVIVOR, Moment, Running, apart, load_everything
from kills.material import JOBS, Job, make_material

CHAIN = 3
"""At most so many kills before a run may end."""


class Round:
    """One command in one folder, killed again and again."""

    def __init__(self, job: Job, material: Path, place: Path) -> None:
        self.job, self.material, self.place, self.out = job, material, place, place / "out"
        self.log = place / "log.txt"
        place.mkdir(parents=True)
        if job.changes:
            shutil.copytree(material / job.changes, place / job.changes)

    def start(self) -> Running:
        return Running(self.job.words(self.material, self.out), self.job.ranks, self.log)

    def finish(self) -> list[str]:
        """Run to the end; what went wrong."""
        running = self.start()
        if not running.wait(PATIENCE):
            running.kill()
            running.wait(10)
            return [f"hangs: {self._words()}"]
        if any(running.ended.values()):
            return [f"ended with {sorted(running.ended.values())}: {self._words()}"]
        return []

    def _words(self) -> str:
        return " / ".join(self.log.read_text(errors="replace").replace("\r", "\n").strip().splitlines()[-3:])[-300:]

    def holds(self) -> dict[str, Any]:
        found = apart(contents, self.out, str(self.place))
        if self.job.changes:
            changed = apart(contents, self.place / self.job.changes, str(self.place))
            found |= {f"../{name}": value for name, value in changed.items()}
        return found


def killed(job: Job, material: Path, place: Path, wanted: dict[str, Any], seconds: float, random: np.random.Generator,
           most: int) -> tuple[int, list[str]]:
    """One round of up to ``most`` kills: how many there were, and what went wrong."""
    one, kills, faults = Round(job, material, place), 0, list[str]()
    for _ in range(int(random.integers(1, most + 1))):
        victim = int(random.integers(0, job.ranks)) if job.ranks > 1 and random.random() < 0.5 else -1
        moment = (Moment(float(random.uniform(0, 0.01)), int(random.integers(1, 12)), victim) if random.random() < 0.5
                  else Moment(float(random.uniform(0.1, 1.0) * seconds), 0, victim))
        running = one.start()
        if not running.kill_at(moment, one.out):
            break  # it was over before; its end counts as the last one
        kills += 1
        if not running.wait(SURVIVOR):
            faults.append(f"a rank outlives the other by {SURVIVOR:.0f} s")
            running.kill()
            running.wait(10)
        faults += [f"half written: {sentence}" for sentence in apart(damaged, one.out)]
    faults += one.finish()
    if not faults:
        try:
            faults = differences(wanted, one.holds())
        except Exception as error:
            faults = [f"cannot be read: {error}"]
    return kills, faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", default="", help="comma list of names, or their beginnings (all)")
    parser.add_argument("--folder", default="", help="where the rounds work; kept when given")
    parser.add_argument("--report", default="", help="JSON of the figures")
    parser.add_argument("--minutes", type=float, default=0, help="end after so many minutes (never)")
    args = parser.parse_args()
    jobs = [job for job in JOBS if not args.jobs or any(job.name.startswith(name) for name in args.jobs.split(","))]
    load_everything()
    root = Path(args.folder or tempfile.mkdtemp(prefix="diffusionrig-kills-"))
    figures: dict[str, dict[str, Any]] = {}
    began = time.monotonic()
    try:
        material = root / "material"
        material.mkdir(parents=True)
        apart(make_material, material, args.seed)
        undisturbed = {}
        for job in jobs:
            whole = Round(job, material, root / "whole" / job.name)
            start = time.monotonic()
            faults = whole.finish()
            if faults:
                print(f"{job.name}: the undisturbed run fails: {faults}", file=sys.stderr)
                return 1
            undisturbed[job.name] = (whole.holds(), time.monotonic() - start)
            figures[job.name] = {"kills": 0, "rounds": 0, "faults": [], "seconds": round(undisturbed[job.name][1], 2)}
            print(f"{job.name}: {undisturbed[job.name][1]:.1f} s undisturbed, {len(undisturbed[job.name][0])} files", flush=True)
        number = 0
        while (done := sum(one["kills"] for one in figures.values())) < args.kills:
            if args.minutes and time.monotonic() - began > 60 * args.minutes:
                break
            job = jobs[number % len(jobs)]
            wanted, seconds = undisturbed[job.name]
            random = np.random.default_rng([args.seed, number])
            place = root / f"round{number}"
            kills, faults = killed(job, material, place, wanted, seconds, random, min(CHAIN, args.kills - done))
            figure = figures[job.name]
            figure["kills"] += kills
            figure["rounds"] += 1
            figure["faults"] += [f"round {number}: {fault}" for fault in faults]
            told = "; ".join(faults) or "nothing lost, doubled or left behind"
            print(f"round {number}, {job.name}: {kills} kills; {told}", flush=True)
            if not faults:
                shutil.rmtree(place)
            number += 1
    finally:
        if not args.folder:
            shutil.rmtree(root, ignore_errors=True)
    print("\n| command | kills | rounds | faults |\n| --- | --- | --- | --- |")
    for name, figure in figures.items():
        print(f"| {name} | {figure['kills']} | {figure['rounds']} | {len(figure['faults'])} |")
    if args.report:
        Path(args.report).write_text(json.dumps({"seed": args.seed, "jobs": figures}, indent=2) + "\n")
    return int(any(figure["faults"] for figure in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
