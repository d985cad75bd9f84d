"""Small inputs of the commands that are killed: synthetic people, a store, a corpus, an untrained network, a prediction."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from diffusionrig.cli import main
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.checkpoints import save_checkpoint
from diffusionrig.model import encoder
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network

encoder.WIDTH = 8
"""For all that is forked from here: ResNets so narrow that a state has 3 MB instead of 190."""

PHOTOGRAPHS, FRAMES = 4, 3
MODEL = ModelConfig(image_size=32, num_channels=32, channel_mult="1,1", num_res_blocks=1, attention_resolutions="",
                    encoder_type="resnet18", latent_dim=32)


@dataclasses.dataclass(frozen=True)
class Job:
    """``words`` of a command from the folder of the material and the one for its results; ``ranks`` processes; ``changes`` is a
    folder of the material that the command changes, so that each round gets a copy of its own beside its results."""

    name: str
    words: Callable[[Path, Path], list[str]]
    ranks: int = 1
    changes: str = ""


def _edit(material: Path, out: Path, *more: str) -> list[str]:
    return ["edit", "--model_path", str(material / "model.safetensors"), "--source", str(material / "two"), "--use_model", "FIT",
            "--align_source", "False", "--timestep_respacing", "ddim2", "--batch_size", "1", "--device", "cpu", "--output_dir",
            str(out), *more]


def _train(material: Path, out: Path) -> list[str]:
    return ["train", "--data_dir", str(material / "store"), "--log_dir", str(out), "--batch_size", "2", "--max_steps", "4",
            "--save_interval", "2", "--log_interval", "1", "--keep_states", "2", "--sample_count", "1", "--metric_count", "2",
            "--num_workers", "1", "--device", "cpu", "--image_size", "32", "--num_channels", "32", "--channel_mult", "1,1",
            "--num_res_blocks", "1", "--attention_resolutions", "", "--encoder_type", "resnet18", "--latent_dim", "32"]


JOBS = (
    Job("align", lambda m, out: ["align", "-i", str(m / "photos"), "-o", str(out), "-s", "64", "--workers", "2"]),
    Job("create-data, 2 ranks", lambda m, out: [
        "create-data", "--data_dir", str(m / "photos"), "--output_dir", str(out), "--image_size", "32", "--batch_size", "1",
        "--use_meanshape", "True", "--store_buffers", "uint8", "--use_model", "FIT", "--num_workers", "1", "--device", "cpu"], 2),
    Job("train, 2 ranks", _train, 2),
    Job("edit", lambda m, out: _edit(m, out, "--target", str(m / "two" / "000001.png"), "--modes", "exp,light",
                                     "--save_buffers", "True")),
    Job("edit, a clip", lambda m, out: _edit(m, out, "--target", str(m / "clip"), "--clip", "True", "--modes", "exp")),
    Job("curate", lambda m, out: ["curate", str(out.parent / "photos"), "-o", str(out), "--apply", "--keep", "3", "--min_sharpness",
                                  "0", "--min_confidence", "0", "--device", "cpu"], changes="photos"),
    Job("react prepare", lambda m, out: [
        "react", "prepare", "--data", str(m / "corpus"), "--split", "train", "--features", "logmel,mfcc,emotion", "--shuffled",
        "True", "--targets", "True", "--output_dir", str(out), "--device", "cpu"]),
    Job("react train", lambda m, out: [
        "react", "train", "--config", "stream", "--data", str(m / "corpus"), "--log_dir", str(out), "motion.width", "16",
        "motion.layers", "1", "motion.heads", "2", "motion_train.max_steps", "8", "motion_train.save_interval", "2",
        "motion_train.log_interval", "1", "motion_train.batch_size", "2", "motion_train.device",
        "cpu"]),
    Job("react render", lambda m, out: [
        "react", "render", str(m / "p_3dmm.npy"), "--listener", str(m / "two" / "000000.png"), "--model_path",
        str(m / "model.safetensors"), "--use_model", "FIT", "--output_dir", str(out), "--panel", "32", "--timestep_respacing",
        "ddim2", "--batch_size", "1", "--neutral", "none", "--device", "cpu"]),
)


def make_material(folder: Path, seed: int) -> None:
    """Write everything the jobs read into ``folder``."""
    head = load_head()
    _run("synth", "--output_dir", str(folder / "people"), "--count", str(PHOTOGRAPHS), "--image_size", "128", "--album", "1",
         "--seed", str(seed))
    shutil.move(folder / "people" / "photos", folder / "photos")
    photographs = sorted((folder / "photos").iterdir())
    shutil.copy(photographs[0], folder / "photos" / "twice.png")
    for name, chosen in (("two", photographs[:2]), ("clip", photographs[:FRAMES])):
        (folder / name).mkdir()
        for number, photograph in enumerate(chosen):
            shutil.copy(photograph, folder / name / f"{number:06d}.png")
    _run("synth", "--output_dir", str(folder / "store"), "--count", "8", "--image_size", "32", "--seed", str(seed), "--lmdb")
    _run("react", "synth", "--output_dir", str(folder / "corpus"), "--seed", str(seed), "--dyads", "3,1,1", "--clips", "1",
         "--frames", "32", "--sites", "NoXI", "--audio", "mono")
    about = {"model": MODEL.to_dict(), "diffusion": DiffusionConfig().to_dict(), "head": {"name": head.name, "hash": head.hash},
             "step": 0}
    save_checkpoint(folder / "model.safetensors", build_network(MODEL, seed=seed).state_dict(), about)
    rows = np.zeros((2, FRAMES, 58), np.float32)
    rows[..., 52], rows[..., 57] = math.pi, 1.8
    rows[..., 24] = np.linspace(0, 0.6, FRAMES)
    np.save(folder / "p_3dmm.npy", rows)


def _run(*words: str) -> None:
    if main(list(words)):
        raise SystemExit(f"the material could not be made: diffusionrig {' '.join(words)}")
