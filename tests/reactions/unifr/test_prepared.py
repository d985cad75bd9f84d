"""UniFR's prepared files as the input of training and of generation."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from reaction_corpora import written

from diffusionrig.errors import RigError
from diffusionrig.reactions.coefficients.network import AttributesToCoefficients
from diffusionrig.reactions.corpus import Corpus, Split
from diffusionrig.reactions.corpus.unifr import FIELDS
from diffusionrig.reactions.generators.examples import DataSettings, Examples
from diffusionrig.reactions.generators.unifr.generator import Unifr
from diffusionrig.reactions.generators.unifr.learning_words import learn_vocabulary
from diffusionrig.reactions.generators.unifr.model import UnifrModel
from diffusionrig.reactions.generators.unifr.network import fresh
from diffusionrig.reactions.generators.unifr.sampling import Decoding
from diffusionrig.reactions.generators.unifr.settings import Pretrain
from diffusionrig.reactions.generators.unifr.tasks import UnifrTask
from diffusionrig.reactions.generators.unifr.testing import Speakers

SETTINGS = Pretrain(inputs="prepared", AU_size=512, width=12, layers=1, heads=2, exp_words=16, online_step=250, dropout=0.0)


def prepared(folder: Path, split: Split, name: str) -> None:
    """Rows for every speaker; only the 26 energies of sound differ from row to row."""
    with h5py.File(folder / name, "w") as file:
        file["s_name"] = [str(item.speaker) for item in split.items]
        for key, shapes in FIELDS.items():
            shape = (len(split), *shapes[-1])
            file.create_dataset(key, shape, "i4" if key == "is_face" else "f4", chunks=(1, *shape[1:]), fillvalue=1)
        for row in range(len(split)):
            file["s_MFCC"][row] = row


def test_training_and_generation_read_prepared_rows(tmp_path):
    corpus = Corpus.open(written())
    split = corpus.split("train")
    prepared(tmp_path, split, "train_shuffled.h5")
    settings = dataclasses.replace(SETTINGS, prepared=str(tmp_path))
    vocabulary = learn_vocabulary(split, {"AU": 99, "exp": 16, "VA": 99}, 20, 0)
    model = UnifrModel(fresh(settings.sizes(vocabulary.sizes), 0), vocabulary, AttributesToCoefficients(), torch.zeros(58))
    examples = Examples(split, DataSettings(frames=8, audio=False))
    task = UnifrTask("pretrain", settings, examples, model, 0)
    batch = task.batch([0, 1, 2])
    assert batch["sound"][:, 0, 0].tolist() == [examples.draw(n).item.index for n in range(3)]  # no row stands for another
    assert batch["descriptors"].shape == (3, 194805)
    assert torch.isfinite(task.loss(batch, [0, 1, 2])["loss"])
    prepared(tmp_path, corpus.split("val"), "val_sequential.h5")
    generator = Unifr(model.eval(), settings, Decoding(1), Decoding(), torch.device("cpu"))
    speakers = Speakers.of(corpus.split("val"), generator, tmp_path)
    made = generator.generate(speakers(corpus.split("val").items[1]), None, 1, 0, "online")
    assert made.emotion.shape == (1, 750, 25)
    assert np.isfinite(made.coefficients).all()
    with pytest.raises(RigError, match="has no features of"):
        task.source(corpus.split("val").items[0].speaker, examples.clips(split.items[0].speaker))
