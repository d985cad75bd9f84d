"""Frames to words and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from reaction_corpora import SMALL, written

from diffusionrig.errors import RigError, UsageError
from diffusionrig.reactions.corpus import Corpus
from diffusionrig.reactions.generators.unifr.learning_words import kmeans, learn_vocabulary
from diffusionrig.reactions.generators.unifr.vocabulary import CHANNELS, Vocabulary
from diffusionrig.reactions.generators.unifr.word_files import read_vocabulary

LIMITS = {"AU": 5976, "exp": 64, "VA": 2710}


def book(compat: bool = False) -> Vocabulary:
    """Two patterns, two expressions, the cells at (0.5, 0.5) and (-0.5, 0.5) of a grid of 4."""
    AU = torch.zeros(2, 15)
    AU[1, :6] = 1
    cells = torch.tensor([[-0.75, 0.25], [0.25, 0.25]])
    return Vocabulary(AU, torch.eye(8)[:2], cells, 0.5, compat)


def frame(units: int, valence: float, arousal: float, expression: int) -> torch.Tensor:
    values = torch.zeros(25)
    values[:units] = 1
    values[15:17] = torch.tensor([valence, arousal])
    values[17 + expression] = 1
    return values


def test_known_frames_come_back_within_half_a_cell_and_in_the_columns_order():
    shown = frame(6, 0.4, 0.1, 1)
    words = book().encode(shown[None])
    assert words.tolist() == [[1, 1, 1]]
    back = book().decode(words)[0]
    assert torch.equal(back[:15], shown[:15])
    assert torch.equal(back[17:], shown[17:])
    assert (back[15:17] - shown[15:17]).abs().max() <= 0.25


def test_unknown_patterns_and_cells_take_the_nearest_known_ones():
    assert book().encode(frame(4, 0.9, -0.9, 0)).tolist() == [1, 0, 1]
    # As published they become word 0, and cells are read half a cell too high.
    old = book(compat=True)
    assert old.encode(frame(4, 0.9, -0.9, 0)).tolist() == [0, 0, 0]
    assert old.encode(frame(6, 0.3, 0.3, 1)).tolist() == [1, 1, 1]
    assert torch.allclose(old.decode(torch.tensor([0, 0, 0]))[15:17], torch.tensor([-0.5, 0.5]))


@pytest.mark.parametrize("mode", ["binary", "soft"])
def test_words_are_learned_from_the_training_split_alone(mode):
    import dataclasses

    split = Corpus.open(written(dataclasses.replace(SMALL, au_mode=mode))).split("train")
    found = learn_vocabulary(split, LIMITS, 80, seed=0)
    again = learn_vocabulary(split, LIMITS, 80, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(found.buffers(), again.buffers()))
    emotion = torch.from_numpy(split.emotion(split.items[0].listener))
    back = found.decode(found.encode(emotion))
    assert (back[:, CHANNELS["VA"]] - emotion[:, CHANNELS["VA"]]).abs().max() <= 0.0125 + 1e-6
    if mode == "binary":
        assert torch.equal(back[:, :15], emotion[:, :15])
    assert (back - emotion).square().mean() < 0.01 * emotion.var()


def test_centres_are_those_of_separate_clouds():
    cloud = np.concatenate([np.random.default_rng(0).normal(at, 0.01, (40, 2)) for at in (0.0, 1.0, 5.0)]).astype(np.float32)
    centres = kmeans(cloud, 3, 2, "test")
    assert len(kmeans(cloud[:3], 8, 0, "test")) == 3
    assert np.abs(centres[:, None] - cloud[None]).sum(-1).min(0).max() < 5  # no point far from all centres
    assert np.isfinite(centres).all()


def test_published_tables_are_read_and_their_faults_named(tmp_path):
    with pytest.raises(UsageError, match=r"exp_centres.npy; save cluster_centers_"):
        read_vocabulary(tmp_path)
    np.save(tmp_path / "exp_centres.npy", np.eye(8, dtype=np.float32))
    pattern = lambda n: "(" + ", ".join("1" if i < n else "0" for i in range(15)) + ")"  # noqa: E731
    (tmp_path / "AU_index.csv").write_text(f'index,combinations\n0,"{pattern(2)}"\n1,"{pattern(0)}"\n')
    (tmp_path / "VA_index.csv").write_text('index,combinations\n0,"(0.025, -0.975)"\n1,"(1.0, 0.5)"\n')
    found = read_vocabulary(tmp_path)
    assert found.sizes == {"AU": 2, "exp": 8, "VA": 2}
    assert torch.allclose(found.VA[0], torch.tensor([0.0125, -0.9875]))
    assert torch.allclose(read_vocabulary(tmp_path, compat=True).decode(torch.tensor([0, 0, 0]))[15:17],
                          torch.tensor([0.025, -0.975]))
    (tmp_path / "VA_index.csv").write_text('index,combinations\n0,"(0.025, -0.975, 1)"\n')
    with pytest.raises(RigError, match=r"Line 2 of .* has 3 numbers instead of 2"):
        read_vocabulary(tmp_path)
