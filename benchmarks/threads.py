"""What `--threads auto` is worth beside other programs: the shipped prior's call (batch 4, float32), and a whole `edit` command.

    python benchmarks/threads.py [--neighbours 0 1 3] [--rounds 12] [--calls 5] [--commands 3] [--apart]

The benchmark makes its own neighbours: so many processes that each keep one processor busy. Two processes, one with PyTorch's own
setting (a thread for each processor, which spins while it waits) and one that chose with the neighbours running as a command does,
take turns of `--calls` calls; whole commands take turns likewise. Medians, and the ratio of the medians (above 1: auto is faster).
`--apart` starts each neighbour in a session of its own, which Linux gives a share of its own where it groups by sessions
(sched_autogroup_enabled), as it does for programs of other terminals. Turns in which programs of others took more than a tenth of a
processor are left out; where fewer than three are left, all count, and the row says how much of the machine the others had.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from diffusionrig.cli.choosing_threads import COUNTS, OPENCV, WAITING, computing_threads, look
from diffusionrig.io.processors import allowed_processors, idle_seconds

WAYS = ("as it was", "auto")
CALM = 0.1  # processors that others may take in a turn
PATIENCE = 120.0  # seconds after which no further turn of calls begins, once there were three


@dataclasses.dataclass(frozen=True)
class Turn:
    """One turn of both ways."""

    taken: list[list[tuple[float, float]]]  # of each way, (wall, processor) milliseconds of its calls
    others: float  # processors that programs of others took meanwhile


def worker(auto: bool) -> None:
    """Load the prior, then answer each number n on stdin with n pairs of wall and processor milliseconds of a call."""
    with computing_threads(0) if auto else contextlib.nullcontext():
        import torch

        from diffusionrig.editing.pretrained import load_pretrained
        from diffusionrig.model.running import prediction_of

        prior = load_pretrained("default")
        predict = prediction_of(prior.network.eval().requires_grad_(False), "fp32")
        random, size = torch.Generator().manual_seed(0), prior.model.image_size
        x, buffers, latent = (torch.randn(4, *shape, generator=random)
                              for shape in ((3, size, size), (prior.model.condition_channels, size, size),
                                            (prior.model.latent_dim,)))
        t = torch.full((4,), 500)
        with torch.inference_mode():
            predict(x, t, buffers, latent)
            print(torch.get_num_threads(), flush=True)
            for line in sys.stdin:
                pairs = []
                for _ in range(int(line)):
                    began, used = time.perf_counter(), time.process_time()
                    predict(x, t, buffers, latent)
                    pairs.append((1e3 * (time.perf_counter() - began), 1e3 * (time.process_time() - used)))
                print(*(f"{wall:.3f}:{own:.3f}" for wall, own in pairs), flush=True)


@contextlib.contextmanager
def neighbours(count: int, apart: bool) -> Iterator[list[int]]:
    """So many busy processes; their numbers."""
    words = [sys.executable, "-c", "while True: sum(range(10_000))"]
    busy = [subprocess.Popen(words, start_new_session=apart) for _ in range(count)]
    try:
        time.sleep(1)
        yield [process.pid for process in busy]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def processor_seconds(number: int) -> float:
    """What the process ``number`` has used up to now."""
    columns = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds(numbers: Sequence[int]) -> float:
    """What programs other than ``numbers`` and this one have used, of all processors together; 0 where the system does not say."""
    counted = idle_seconds(allowed_processors() or ())
    if not counted:
        return 0.0
    return counted[1] - counted[0] - sum(map(processor_seconds, (*numbers, os.getpid())))


def calls(rounds: int, each: int, beside: list[int], environment: Mapping[str, str]) -> tuple[list[str], list[Turn]]:
    """Of both ways the number of threads; and the turns."""
    with contextlib.ExitStack() as stack:
        workers, threads = [], []
        for way in WAYS:
            words = [sys.executable, __file__, "--worker", way]
            process = stack.enter_context(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                                           env=environment))
            stack.callback(process.kill)
            workers.append(process)
            threads.append(process.stdout.readline().strip())
        turns: list[Turn] = []
        start = time.monotonic()
        for turn in range(rounds):
            if turn >= 3 and time.monotonic() - start > PATIENCE:
                break
            began, others = time.perf_counter(), busy_seconds([*beside, *(process.pid for process in workers)])
            taken = []
            for process in workers:
                process.stdin.write(f"{each}\n")
                process.stdin.flush()
                pairs = [pair.partition(":") for pair in process.stdout.readline().split()]
                taken.append([(float(wall), float(own)) for wall, _, own in pairs])
            others = busy_seconds([*beside, *(process.pid for process in workers)]) - others
            turns.append(Turn(taken, others / (time.perf_counter() - began)))
    return threads, turns


def commands(rounds: int, environment: Mapping[str, str]) -> list[list[float]]:
    """Of both ways, seconds of a whole command: the interpreter, PyTorch, a capture and 50 calls of batch 1."""
    from diffusionrig.io.assets import PACKAGE_ASSETS

    taken: list[list[float]] = [[] for _ in WAYS]
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds):
            for way, times in zip(WAYS, taken):
                words = ["--source", str(PACKAGE_ASSETS / "portrait.jpg"), "--set", "jawOpen=0.6", "--timestep_respacing", "ddim50",
                         "--precision", "fp32", "--align_source", "True", "--output_dir", str(Path(folder) / f"{turn} {way}"),
                         *([] if way == "auto" else ["--threads", str(os.cpu_count())])]
                began = time.perf_counter()
                subprocess.run([sys.executable, "-m", "diffusionrig", "edit", *words], env=environment, check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                times.append(time.perf_counter() - began)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neighbours", type=int, nargs="+", default=[0, 1, 3], help="busy processes beside (0 1 3)")
    parser.add_argument("--rounds", type=int, default=12, help="turns of calls (12)")
    parser.add_argument("--calls", type=int, default=5, help="calls in a turn (5)")
    parser.add_argument("--commands", type=int, default=3, help="turns of whole commands (3)")
    parser.add_argument("--apart", action="store_true", help="each neighbour in a session of its own")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker(args.worker == "auto")
        return
    environment = {name: value for name, value in os.environ.items() if name not in {*COUNTS, *WAITING, OPENCV}}
    seen = look()
    print("Before: " + ("the system does not say what is idle, auto is as it was" if seen is None else
                        f"{seen.idle:.2f} of {seen.count} processors idle") + f", load {os.getloadavg()[0]:.1f}", flush=True)
    for count in args.neighbours:
        with neighbours(count, args.apart) as numbers:
            threads, turns = calls(args.rounds, args.calls, numbers, environment)
            calm = [turn for turn in turns if turn.others <= CALM]
            counted = calm if len(calm) >= 3 else turns
            print(f"{count} neighbours; {len(counted)} of {len(turns)} turns count, in them others took "
                  f"{statistics.median(turn.others for turn in counted):.2f} processors", flush=True)
            taken = [[pair for turn in counted for pair in turn.taken[index]] for index in range(len(WAYS))]
            walls = [statistics.median(wall for wall, _ in times) for times in taken]
            for way, number, wall, times in zip(WAYS, threads, walls, taken):
                own = statistics.median(own for _, own in times)
                print(f"  call     {way:10s} {wall:8.1f} ms {walls[0] / wall:5.2f}x, {own:7.1f} ms of processor time, threads: "
                      f"{number}", flush=True)
            if args.commands:
                middles = [statistics.median(times) for times in commands(args.commands, environment)]
                for way, middle in zip(WAYS, middles):
                    print(f"  command  {way:10s} {middle:8.1f} s {middles[0] / middle:5.2f}x", flush=True)


if __name__ == "__main__":
    main()
