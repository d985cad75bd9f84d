"""Speed of FaceAIS: reactions to a clip of 30 s, latency of the live listener, training steps, memory.

    python benchmarks/faceais.py [--config faceais] [--samples 10] [--threads 2] [--device cpu] [SECTION.NAME VALUE ...]

Weights are random, which changes no time. Beside the incremental generation stands the published way, which computes a window of
the past anew for every patch (with the same sizes, predictor.compat True), so that the gain of caches and shared speakers shows.
Processor seconds are told beside the clock's, since a busy machine disturbs them least.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from diffusionrig.devices import resolve_device
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.config import read_config
from diffusionrig.reactions.generators.examples import Examples
from diffusionrig.reactions.generators.faceais.generating import FaceAIS
from diffusionrig.reactions.generators.faceais.predictor_task import Model, make_predictor
from diffusionrig.reactions.generators.faceais.settings import PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer import FaceTokenizer
from diffusionrig.reactions.interface import SpeakerClip
from diffusionrig.reactions.live.listening import SpeakerFrame, converse
from diffusionrig.reactions.synthetic.options import Options
from diffusionrig.reactions.synthetic.writing import write_corpus
from diffusionrig.training.distributed import start_world
from diffusionrig.training.task_trainer import TaskTrainer

FRAMES = 750


def speaker() -> SpeakerClip:
    random = np.random.default_rng(0)
    return SpeakerClip("clip", np.zeros((FRAMES, 25), np.float32), random.normal(0, 0.3, (FRAMES, 58)).astype(np.float32),
                       {AUDIO: random.normal(-14, 5, (FRAMES, 26)).astype(np.float32)})


def generator(tokenizer: TokenizerSettings, predictor: PredictorSettings, device: torch.device) -> FaceAIS:
    faces = FaceTokenizer(tokenizer, 0)
    return FaceAIS(Model(make_predictor(predictor, tokenizer, 0), faces, torch.zeros(58)).to(device), predictor)


def seconds(work: Callable[[], object]) -> str:
    start, used = time.perf_counter(), time.process_time()
    work()
    return f"{time.perf_counter() - start:7.2f} s, {time.process_time() - used:7.2f} s of a processor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="faceais")
    parser.add_argument("--samples", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("changes", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = resolve_device(args.device)
    config = read_config(args.config, args.changes)
    faces = config.settings["tokenizer"]
    ours = dataclasses.replace(config.settings["predictor"], compat=False, sound="logmel26", vocabulary=0)
    published = dataclasses.replace(ours, compat=True, steps=1)
    print(f"{args.config}, K = {args.samples}, {FRAMES} frames, {device}, {args.threads} thread(s)")
    for name, settings in (("ours", ours), ("ours, 1 draw a patch", dataclasses.replace(ours, steps=1)), ("published", published)):
        made = generator(faces, settings, device)
        size = sum(parameter.numel() for parameter in made.model.parameters()) / 1e6
        for mode in ("online", "offline"):
            made.generate(dataclasses.replace(speaker(), coefficients=speaker().coefficients[:64]), None, 1, 0, mode)
            text = seconds(lambda made=made, mode=mode: made.generate(speaker(), None, args.samples, 0, mode))
            print(f"  {name:<21} {size:6.2f} M  {mode:<8} {text} a clip")
    live = generator(faces, ours, device).live("clip", 0)
    frames = [SpeakerFrame(row, np.zeros(640, np.float32)) for row in speaker().coefficients]
    waits = sorted(answer.seconds for answer in list(converse(live, frames))[1:])
    middle, late = waits[len(waits) // 2], waits[int(len(waits) * 0.95)]
    print(f"  live: {1000 * middle:.1f} ms a patch of {live.patch} (95 %: {1000 * late:.1f} ms), "
          f"{1000 * middle / live.patch:.2f} ms a frame of 40 ms")
    with tempfile.TemporaryDirectory() as place:
        training(args, Path(place))
    print(f"  peak memory of all of this: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def training(args: argparse.Namespace, place: Path) -> None:
    """Steps of every phase on a synthetic corpus of clips as long as the configuration's examples."""
    from diffusionrig.io.checkpoints import save_checkpoint

    config = read_config(args.config, [*args.changes, "predictor.sound", "logmel26"])
    length = max(config.data.frames, config.settings["tokenizer"].frames, 128)
    write_corpus(Options(dyads=(2, 1, 1), clips=2, frames=length, audio="mono", micro=0.02), place / "corpus")
    examples = Examples(Corpus.open(place / "corpus").split("train"), config.data)
    earlier: dict[str, Path] = {}
    for phase in config.system.phases:
        options = config.options(phase.name, place / phase.name)
        with start_world(args.device) as world:
            task = phase.build(config.settings[phase.name], examples, earlier, 0)
            trainer = TaskTrainer(task, options, world)
            trainer.update()
            start, used = time.perf_counter(), time.process_time()
            for _ in range(5):
                trainer.update()
            clock, processor = (time.perf_counter() - start) / 5, (time.process_time() - used) / 5
        print(f"  train {phase.name:<10} {1 / clock:6.2f} steps/s of {options.batch_size}, {1000 * processor:.0f} ms of a "
              f"processor each")
        earlier[phase.name] = place / f"{phase.name}.safetensors"
        save_checkpoint(earlier[phase.name], task.network.state_dict(), {**task.meta, "step": 6})


if __name__ == "__main__":
    main()
