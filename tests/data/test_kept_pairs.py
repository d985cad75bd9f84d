"""Samples that come again: rounded, reordered, mirrored, and still a function of (seed, n) alone."""

import os

import numpy as np
import pytest
import torch
from reference_stores import edits

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.kept_pairs import KeptPairs
from diffusionrig.data.pairs import PairMaker
from diffusionrig.data.sampling import record_of
from diffusionrig.errors import RigError
from diffusionrig.geometry.heads import load_head
from diffusionrig.io import mapped_rows
from diffusionrig.io.mapped_rows import MappedRows

DISTINCT = 4


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return FaceStoreDataset(edits(tmp_path_factory.mktemp("kept")), None, load_head())


@pytest.fixture
def maker(store):
    return PairMaker([store], load_head(), 3)


def test_a_kept_sample_is_the_made_one_to_a_rounding_step(maker):
    kept = KeptPairs(maker, DISTINCT).make([0, 1])
    numbers = [record_of(3, sample, DISTINCT) for sample in (0, 1)]
    made = maker.mirror(maker.make(numbers, mirrored=False), [0, 1])
    assert float((kept.condition - made.condition).abs().max()) <= 2 / 255 + 1e-6
    assert float((kept.truth - made.truth).abs().max()) <= 0.5 / 127.5 + 1e-6
    assert float((kept.weight - made.weight).abs().max()) <= 12 / 255 + 1e-6
    assert torch.equal(kept.records, made.records)


def test_the_same_whatever_came_before(store):
    first, second = (KeptPairs(PairMaker([store], load_head(), 3), DISTINCT) for _ in range(2))
    for sample in (0, 7, 2):
        first.make([sample])
    together, apart = first.make([5, 6]), [second.make([sample]) for sample in (5, 6)]
    assert float((together.condition - torch.cat([one.condition for one in apart])).abs().max()) <= 2 / 255


def test_only_so_many_are_made_and_all_come_round(maker, monkeypatch):
    made = []
    original = maker.make
    monkeypatch.setattr(maker, "make", lambda samples, mirrored=True: made.extend(samples) or original(samples, mirrored))
    pairs = KeptPairs(maker, DISTINCT)
    for start in range(0, 3 * DISTINCT, 2):
        pairs.make([start, start + 1])
    assert sorted(made) == list(range(DISTINCT))


def test_what_is_handed_out_can_be_changed_without_harm(maker):
    pairs = KeptPairs(maker, DISTINCT)
    first = pairs.make([0])
    first.condition.zero_()
    assert float(pairs.make([0]).condition.abs().max()) > 0.5


def test_a_folder_keeps_them_for_the_next_run(maker, tmp_path, monkeypatch):
    first = KeptPairs(maker, DISTINCT, str(tmp_path)).make([0, 1, 2])
    monkeypatch.setattr(maker, "make", lambda samples, mirrored=True: pytest.fail("made again"))
    again = KeptPairs(maker, DISTINCT, str(tmp_path)).make([0, 1, 2])
    for name in ("condition", "truth", "weight", "records"):
        assert torch.equal(getattr(first, name), getattr(again, name))


def test_a_folder_of_other_samples_is_refused(maker, store, tmp_path):
    KeptPairs(maker, DISTINCT, str(tmp_path))
    with pytest.raises(RigError, match="of other stores or settings"):
        KeptPairs(PairMaker([store], load_head(), 4), DISTINCT, str(tmp_path))
    with pytest.raises(RigError, match="of other stores or settings"):
        KeptPairs(maker, DISTINCT + 1, str(tmp_path))


def test_a_full_disk_is_one_sentence_and_the_sample_is_not_there(tmp_path, monkeypatch):
    rows = MappedRows(tmp_path, 3, (2, 2), {})
    rows[1] = np.full((2, 2), 7, np.uint8)
    if not os.path.exists("/dev/full"):
        pytest.skip("no device that is always full")
    monkeypatch.setattr(mapped_rows, "ROWS", "full")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(RigError, match="Cannot keep samples"):
        rows[2] = np.zeros((2, 2), np.uint8)
    assert 2 not in rows
    assert (rows[1] == 7).all()
