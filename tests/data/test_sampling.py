"""The order of samples is a function of (seed, sample number): epochs are permutations, ranks partition, resumes agree."""

from __future__ import annotations

import numpy as np
import pytest

from diffusionrig.data.sampling import batch_records, rank_first_sample, record_of


@pytest.mark.parametrize("length", [1, 7, 100])
def test_every_epoch_is_another_permutation(length):
    epochs = batch_records(3, 0, 4 * length, length).reshape(4, length)
    assert all(sorted(epoch) == list(range(length)) for epoch in epochs)
    if length == 100:
        assert len({tuple(epoch) for epoch in epochs}) == 4


def test_seeds_give_different_orders():
    assert not np.array_equal(batch_records(0, 0, 50, 50), batch_records(1, 0, 50, 50))


@pytest.mark.parametrize(("ranks", "batch"), [(1, 6), (2, 3), (3, 2), (6, 1)])
def test_ranks_partition_the_global_batches(ranks, batch):
    whole = batch_records(5, 0, 60, 13)
    parts = [batch_records(5, rank_first_sample(seen, batch, rank), batch, 13)
             for seen in range(0, 60, ranks * batch) for rank in range(ranks)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_resume_continues_the_same_stream():
    assert np.array_equal(np.concatenate([batch_records(9, 0, 17, 10), batch_records(9, 17, 23, 10)]),
                          batch_records(9, 0, 40, 10))


def test_albums_may_be_smaller_than_a_batch():
    counts = np.bincount(batch_records(0, 0, 16, 3), minlength=3)
    assert counts.max() - counts.min() <= 1


def test_far_samples_need_no_walk():
    assert 0 <= record_of(0, 10**12, 70_000) < 70_000
