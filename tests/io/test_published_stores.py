"""Stores of the published script, read through the same interface and never written to."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from processes import Touch
from store_fakes import HEADER, SIZE, make_buffers, picture, publish

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.png import decode_png
from diffusionrig.io.store import StoreWriter, open_store


def test_published_stores_are_read_through_the_same_interface(tmp_path):
    store = open_store(publish(tmp_path / "p"))
    assert len(store) == 3
    assert store.header["image_size"] == SIZE
    assert store.header["head"] is None
    for i in range(3):
        got = store.record(i)
        assert np.array_equal(got.buffers, make_buffers(i))
        assert np.array_equal(decode_png(got.image, SIZE, "x"), picture(i))
    assert store.record_bytes(0) > 9 * SIZE * SIZE * 4


def test_a_published_store_with_other_pickles_is_refused_by_name(tmp_path):
    mark = tmp_path / "ran"
    store = open_store(publish(tmp_path / "p", change=lambda t: t.put(b"normal_000001", pickle.dumps(Touch(mark)))))
    store.record(0)
    with pytest.raises(RigError, match=r"normal_000001 of .* was refused: the pickle names \w+\.system"):
        store.record(1)
    assert not mark.exists()


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda t: t.delete(b"length"), "does not say how many records"),
    (lambda t: t.put(b"length", b"x"), "'length' is damaged"),
    (lambda t: t.put(b"length", b"2"), "says that it holds 2 records, but does not"),
    (lambda t: t.put(b"length", b"9"), "says that it holds 9 records, but does not"),
    (lambda t: t.put(b"image_000000", b"no picture"), "image_000000 of .* is damaged"),
])
def test_bad_published_stores(tmp_path, change, sentence):
    with pytest.raises(RigError, match=sentence):
        open_store(publish(tmp_path / "p", change=change))


def test_misshapen_and_missing_published_buffers(tmp_path):
    store = open_store(publish(tmp_path / "p", change=lambda t: (
        t.put(b"albedo_000000", pickle.dumps(torch.zeros(3, 4, 4))), t.delete(b"albedo_000001"))))
    with pytest.raises(RigError, match=r"albedo_000000 of .* has the shape \(3, 4, 4\)"):
        store.record(0)
    with pytest.raises(RigError, match="albedo_000001 is missing"):
        store.record(1)


def test_a_published_store_is_not_written_to(tmp_path):
    with pytest.raises(UsageError, match="not a face store"):
        StoreWriter(publish(tmp_path / "p"), HEADER)
    assert len(open_store(tmp_path / "p")) == 3
