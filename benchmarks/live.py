"""Live drawing at 256 pixels: the first picture, latency, and frames dropped, as frames come in their own time.

    make demo-react
    python benchmarks/live.py [--clip log/demo-react/WolfgangLanger_Pexels.mp4] [--seconds 60] [--runs log/demo-react/runs]

A clip's frames, to and fro at 25 a second, drive the shipped portrait as a camera's would (`edit --target camera`), without a clip
being written. With --runs the demo's Stream answers a speaker whose frames come at that rate, drawn as the portrait (`react live`).
Besides the clock, processor time for a picture is told, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from diffusionrig.ahead import stages
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.live_driving import Drive, live_edit
from diffusionrig.editing.live_figures import Summary
from diffusionrig.editing.rig import Rig
from diffusionrig.editing.sampling import Sampling
from diffusionrig.io.assets import asset_path
from diffusionrig.io.clip_frames import ClipFrames
from diffusionrig.reactions.frames.listener import find_listener
from diffusionrig.reactions.generators.running import load_generator
from diffusionrig.reactions.live.listening import LiveGenerator, SpeakerFrame, converse
from diffusionrig.reactions.live.showing import LiveFrames

FPS, HELD = 25.0, 250


def paced(items: Iterable[object], seconds: float) -> Iterator[object]:
    """The ``items``, at FPS a second."""
    start = time.perf_counter()
    for number, item in enumerate(itertools.islice(items, round(seconds * FPS))):
        time.sleep(max(start + number / FPS - time.perf_counter(), 0))
        yield item


def say(what: str, told: Summary, begun: float) -> None:
    taken = 1000 * (time.process_time() - begun) / max(told.drawn, 1)
    print(f"{what}: {told.sentence()} {taken:.0f} ms of a processor a picture.", flush=True)


def edit(rig: Rig, clip: Path, seconds: float) -> None:
    frames = list(itertools.islice(ClipFrames(clip), HELD))
    listener = find_listener(str(asset_path("portrait.jpg")), rig)
    assert listener.analysis is not None
    (mode,) = parse_modes("exp+pose")
    with stages(2) as several:
        live = live_edit(rig, listener.analysis, mode, Sampling(), lambda drawn: None, Drive(True, fps=FPS, pipelined=several))
        begun = time.process_time()
        for frame in paced(itertools.cycle(frames + frames[::-1]), seconds):
            assert isinstance(frame, np.ndarray)
            live.offer(frame)
        told = live.finish()
    say("camera", told, begun)


def react(rig: Rig, run: Path, seconds: float) -> None:
    generator = load_generator(run, "cpu")
    assert isinstance(generator, LiveGenerator)
    random = np.random.default_rng(0)
    rest = generator.face_at_rest().astype(np.float32)
    speaker = (SpeakerFrame(rest + 0.05 * random.normal(size=58).astype(np.float32)) for _ in itertools.count())
    listener = find_listener(str(asset_path("portrait.jpg")), rig)
    with tempfile.TemporaryDirectory() as folder:
        show = LiveFrames(folder, rig, listener, rest, Sampling(), fps=FPS)
        begun = time.process_time()
        for _ in converse(generator.live("live", 0), paced(speaker, seconds), show):  # type: ignore[arg-type]
            pass
        told = show.finish()
    say("listener", told, begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=Path("log/demo-react/WolfgangLanger_Pexels.mp4"))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--runs", type=Path, default=Path("log/demo-react/runs"), help="folder of the run stream")
    args = parser.parse_args()
    rig = Rig.from_pretrained("default", device="cpu")
    edit(rig, args.clip, args.seconds)
    if args.runs.is_dir():
        react(rig, args.runs / "stream", args.seconds)


if __name__ == "__main__":
    main()
