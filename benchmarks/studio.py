"""How fast the studio answers, and whether it keeps what it needs no more: the command in a process of its own.

    python benchmarks/studio.py [--events 100] [--seconds 60] [--rounds 100] [--model_path MODEL]

    preview   from a slider's event to its picture over the socket, one after another: median, 95th percentile, what of the median
              is neither rendering nor carrying (measured here, in the same number of threads)
    stream    20 events a second: pictures a second, and latency of the last event over that of the first
    rounds    uploads, captures, edits and downloads in a row: growth of memory and descriptors after the first fifth
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.faces.backends import make_finder
from diffusionrig.io.assets import asset_path
from diffusionrig.io.files import read_bytes
from diffusionrig.studio.sitting import open_photograph, sit


def edit(socket: ClientConnection, number: int, value: float) -> None:
    preset = {"kind": "diffusionrig preset", "move": {"smile": value, "yaw": 20 * value}}
    socket.send(json.dumps({"type": "edit", "n": number, "preset": preset}))


def next_preview(socket: ClientConnection) -> int:
    """The number of the next preview that comes."""
    while True:
        message = socket.recv(timeout=120)
        if isinstance(message, bytes):
            (length,) = struct.unpack_from("<I", message)
            header = json.loads(message[4:4 + length])
            if header["kind"] == "preview":
                return int(header["n"])


def wait_for(socket: ClientConnection, number: int) -> int:
    """Previews until that of ``number``; how many came."""
    count = 1
    while next_preview(socket) != number:
        count += 1
    return count


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(round(share * len(values)), len(values) - 1)]


def previews(socket: ClientConnection, events: int) -> list[float]:
    taken = []
    for number in range(1, events + 1):
        began = time.perf_counter()
        edit(socket, number, 0.5 * number / events)
        wait_for(socket, number)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def stream(socket: ClientConnection, seconds: float) -> tuple[float, float]:
    """Pictures a second, and latency of the last event over that of the first."""
    began, shown, sent, number = time.perf_counter(), 0, {}, 1000
    first = None
    while (now := time.perf_counter()) - began < seconds:
        number += 1
        sent[number] = now
        edit(socket, number, 0.5 * ((now - began) / seconds))
        while time.perf_counter() < now + 0.05:
            try:
                message = socket.recv(timeout=max(now + 0.05 - time.perf_counter(), 0))
            except TimeoutError:
                break
            if isinstance(message, bytes):
                (length,) = struct.unpack_from("<I", message)
                header = json.loads(message[4:4 + length])
                if header["kind"] == "preview" and header["n"] in sent:
                    shown += 1
                    first = first or time.perf_counter() - sent[header["n"]]
    wait_for(socket, number)
    last = time.perf_counter() - sent[number]
    return shown / seconds, last / (first or last)


def held(process: int) -> tuple[float, int]:
    """Megabytes and descriptors."""
    pages = int(read_bytes(f"/proc/{process}/statm").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir(f"/proc/{process}/fd"))


def rounds(address: str, socket: ClientConnection, process: int, count: int) -> tuple[float, int]:
    """Growth of memory in megabytes and of descriptors over the last four fifths of ``count`` rounds."""
    photograph, before = read_bytes(asset_path("portrait.jpg")), (0.0, 0)
    for number in range(count):
        request = urllib.request.Request(f"{address}api/photo?name=me.jpg", photograph, method="POST")
        urllib.request.urlopen(request, timeout=120).read()
        edit(socket, 5000 + number, 0.3)
        wait_for(socket, 5000 + number)
        urllib.request.urlopen(f"{address}api/picture.png", timeout=120).read()
        if number == count // 5:
            before = held(process)
    after = held(process)
    return after[0] - before[0], after[1] - before[1]


def rendering(model: str, times: int = 20) -> float:
    """Milliseconds of rendering and carrying alone."""
    rig = Rig.from_pretrained(model, device="cpu")
    photograph = open_photograph(read_bytes(asset_path("portrait.jpg")), "me.jpg", make_finder(), 100)
    prepared = rig.painter.prepare(sit(rig, photograph).prepared.faces, Sampling())
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        rig.painter.condition(prepared, prepared.faces.code, prepared.faces.centre)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--model_path", default="default")
    args = parser.parse_args()
    render = rendering(args.model_path)
    command = [sys.executable, "-m", "diffusionrig", "studio", "--port", "0", "--model_path", args.model_path]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert server.stdout is not None
    try:
        address = server.stdout.readline().split()[-1]
        with connect(address.replace("http", "ws", 1) + "socket", max_size=None, proxy=None) as socket:
            name = Path(asset_path("portrait.jpg")).name
            began = time.perf_counter()
            urllib.request.urlopen(urllib.request.Request(f"{address}api/photo?name={name}", read_bytes(asset_path(name)),
                                                          method="POST"), timeout=120).read()
            print(f"capture   {time.perf_counter() - began:.2f} s, the first")
            previews(socket, 5)
            taken = previews(socket, args.events)
            middle = statistics.median(taken)
            print(f"preview   median {middle:.0f} ms, 95th percentile {percentile(taken, 0.95):.0f} ms; rendering and carrying "
                  f"{render:.0f} ms, all else {middle - render:.0f} ms")
            rate, ratio = stream(socket, args.seconds)
            print(f"stream    20 events a second for {args.seconds:g} s: {rate:.1f} pictures a second, last over first {ratio:.2f}")
            grown, descriptors = rounds(address, socket, server.pid, args.rounds)
            print(f"rounds    {args.rounds}: {grown:+.1f} MB, {descriptors:+d} descriptors")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait()


if __name__ == "__main__":
    main()
