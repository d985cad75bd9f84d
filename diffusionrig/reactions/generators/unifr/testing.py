"""Testing as published: tokens of every item into a file, decoded and scored from there. Any number of processes take part."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.checkpoints import load_weights
from diffusionrig.io.files import make_folder, write_text
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.npy_rows import NpyRows
from diffusionrig.progress import Progress
from diffusionrig.reactions.coefficients.network import load_network
from diffusionrig.reactions.corpus import Item, Split
from diffusionrig.reactions.generators.clips import Clips
from diffusionrig.reactions.generators.config import SystemConfig
from diffusionrig.reactions.generators.unifr.generator import Unifr, summed
from diffusionrig.reactions.generators.unifr.inputs import FILES, PreparedFeatures
from diffusionrig.reactions.generators.unifr.model import UnifrModel
from diffusionrig.reactions.generators.unifr.network import UnifiedTransformer
from diffusionrig.reactions.generators.unifr.released import from_published
from diffusionrig.reactions.generators.unifr.sampling import Decoding
from diffusionrig.reactions.generators.unifr.word_files import read_vocabulary
from diffusionrig.reactions.interface import COEFFICIENTS, Mode, SpeakerClip
from diffusionrig.reactions.metrics import results
from diffusionrig.reactions.metrics.scoring import Plan as ScoringPlan
from diffusionrig.reactions.metrics.scoring import heading, score_file
from diffusionrig.reactions.predicting import beside
from diffusionrig.training.distributed import World
from diffusionrig.training.run_folder import RunFolder

SUBMITTED = ("NoXI/001_2016-03-17_Paris/Expert_video/21", "NoXI/023_2016-04-25_Paris/Expert_video/25",
             "NoXI/019_2016-04-20_Paris/Expert_video/13", "UDIVA/animal/152153/FC1/3", "RECOLA/group-2/P41/2")
"""Speakers of the five clips that were drawn for the submission."""


def find_iteration(run: Path, phase: str, iteration: int, share: int) -> Path:
    """The model after ``iteration`` (-1: the newest), counted in updates or, as published, in micro-batches of ``share`` an
    update."""
    models = RunFolder(run / phase).found("model")
    if not models:
        raise UsageError(f"There is no model in {run / phase}; train it with scripts/react/unifr/train.py.")
    for step in (max(models),) if iteration == -1 else (iteration, iteration // share):
        if step in models:
            return models[step]
    raise UsageError(f"{run / phase} has no model of iteration {iteration}, but of {', '.join(map(str, models))}; give -i one of "
                     "them, or leave it out for the newest.")


def released_file(run: Path, iteration: int) -> Path | None:
    """The published checkpoint of ``iteration`` in ``run``, if that is a released experiment."""
    file = run / "models" / ("last.ckpt" if iteration == -1 else f"iter_{iteration}.ckpt")
    return file if file.is_file() else None


def load_released(config: SystemConfig, file: Path, coefficients: str | Path, device: torch.device) -> Unifr:
    """A released checkpoint with the vocabularies and the network of coefficients that were released with it. Its causal attention
    was trained on the frame that it answers, so online it sees the speaker without delay."""
    settings = dataclasses.replace(config.settings["pretrain"], delay=0)
    if not settings.vocabulary or settings.inputs != "prepared":
        raise UsageError(f"{file} needs UniFR's prepared features ({', '.join(FILES.values())}) and its vocabularies in the data "
                         "folder (Index/AU_index.csv, VA_index.csv, exp_centres.npy).")
    vocabulary = read_vocabulary(settings.vocabulary, settings.compat)
    transformer = UnifiedTransformer(settings.sizes(vocabulary.sizes))
    from_published(load_weights(file)[0], transformer, str(file))
    model = UnifrModel(transformer, vocabulary, load_network(coefficients)[0], torch.zeros(COEFFICIENTS))
    return Unifr(model.to(device).eval(), settings, Decoding.parse(settings.offline), Decoding.parse(settings.online), device)


def token_file(run: Path, split: str, name: str, iteration: int, mode: Mode, generator: Unifr) -> Path:
    """The published name of a file of tokens."""
    decoding = generator.offline if mode == "offline" else generator.online
    step = decoding.steps if mode == "offline" else generator.settings.online_step
    return run / "test_result" / (f"{split}_{name}_{iteration}_{mode}_s{step}_t{decoding.temperature}_k{decoding.top_k}_"
                                  f"p{decoding.top_p}_{'decay_' if decoding.decay else ''}tokens_pred.npy")


@dataclasses.dataclass(frozen=True)
class Speakers:
    """What the generator is told of an item's speaker: with prepared features where the model wants them."""

    split: Split
    prepared: PreparedFeatures | None
    audio: bool

    @staticmethod
    def of(split: Split, generator: Unifr, folder: Path) -> Speakers:
        if generator.settings.inputs != "prepared":
            item = split.items[0]
            return Speakers(split, None, split.path("audio", item.speaker).is_file())
        if not (folder / FILES[split.name]).is_file():
            raise UsageError(f"The model reads UniFR's prepared features, but there is no {folder / FILES[split.name]}.")
        return Speakers(split, PreparedFeatures(folder, split.name, generator.settings.AU_size), False)

    def __call__(self, item: Item) -> SpeakerClip:
        if self.prepared is None:
            return Clips(self.split, self.audio).speaker(item.speaker)
        emotion = np.zeros((len(self.split.emotion(item.speaker)), 25), np.float32)
        return SpeakerClip(str(item.speaker), emotion, None, self.prepared.arrays(item.speaker))


def predict_tokens(generator: Unifr, split: Split, speakers: Speakers, path: Path, mode: Mode, k: int, seed: int, world: World,
                   chances: bool) -> None:
    """Words (3, N, K, T) of every item into ``path``; with ``chances``, the log-probability (N, K) of each sample beside it."""
    if world.on_main(path.exists):
        raise UsageError(f"{path} exists already; measure it with -m alone, or delete it.")
    mine = list(range(world.rank, len(split), world.size))
    found: list[tuple[int, np.ndarray, np.ndarray]] = []
    with Progress(len(mine), f"tokens {mode}", "item", enabled=world.main) as progress:
        for index in mine:
            words, logs = generator.words(speakers(split.items[index]), k, seed, mode)
            found.append((index, words.cpu().numpy(), summed(logs) if chances else np.zeros(k)))
            progress.update()
    parts = world.collect(found)

    def write() -> None:
        rows = sorted((row for part in parts for row in part), key=lambda row: row[0])
        make_folder(path.parent)
        write_npy(path, np.stack([words for _, words, _ in rows]).transpose(3, 0, 1, 2))
        if chances:
            write_npy(path.with_name(path.name.replace("tokens_pred", "probs")), np.stack([log for _, _, log in rows]))

    world.on_main(write)


def decode_tokens(generator: Unifr, path: Path, output: Path, mode: Mode) -> tuple[int, ...]:
    """Words (3, N, K, T) in ``path`` -> attributes (N, K, T, 25) in ``output``, coefficients beside; returns the former's
    shape."""
    tokens = map_npy(path, "file of tokens")
    if tokens.ndim != 4 or tokens.shape[0] != 3:
        raise RigError(f"{path} has the shape {tokens.shape}, but (3, items, samples, frames) is needed.")
    for i, (name, count) in enumerate(generator.model.vocabulary.sizes.items()):
        if tokens.shape[1] and not 0 <= int(tokens[i].min()) <= int(tokens[i].max()) < count:
            raise RigError(f"{path} has {name} words outside of 0 to {count - 1}; give the model that made it.")
    shape = tokens.shape[1:]
    make_folder(output.parent)
    with NpyRows(output, (*shape, 25)) as attributes, NpyRows(beside(output, "_3dmm.npy"), (*shape, 58)) as faces:
        for n in range(shape[0]):
            made = generator.decode(torch.from_numpy(np.stack([tokens[i, n] for i in range(3)], -1).astype(np.int64)), mode)
            attributes.append(made.emotion)
            assert made.coefficients is not None
            faces.append(made.coefficients)
    return (*shape, 25)


def measure(path: Path, split: Split, log: Path, threads: int) -> dict[str, Any]:
    """Score decoded predictions, print the table and write it to ``log``."""
    found, _ = score_file(path, split, ScoringPlan(threads=threads))
    text = "\n".join([heading(found), "", results.table(found, None), "", *results.remarks(found)])
    make_folder(log.parent)
    write_text(log, text + "\n")
    print(text)
    return found


def select_five(path: Path, split: Split, folder: Path) -> list[Path]:
    """Predictions (K, T, 25) of the five submitted clips that the split has (of none: of five spread evenly over it), each in a
    file of its own; coefficients beside where there are any."""
    made = map_npy(path, "prediction file")
    if made.ndim != 4 or len(made) != len(split):
        raise RigError(f"{path} has the shape {made.shape}, but ({len(split)} items, samples, frames, 25) is needed for "
                       f"{split.name}.")
    names = {str(item.speaker): item.index for item in split.items}
    chosen = [names[name] for name in SUBMITTED if name in names]
    if not chosen:
        chosen = sorted({int(i) for i in np.linspace(0, len(split) - 1, 5).round()})
    faces = beside(path, "_3dmm.npy")
    written = []
    make_folder(folder)
    for index in chosen:
        target = folder / f"{str(split.items[index].speaker).replace('/', '_')}.npy"
        write_npy(target, np.array(made[index]))
        written.append(target)
        if faces.is_file():
            write_npy(beside(target, "_3dmm.npy"), np.array(map_npy(faces)[index]))
    return written
