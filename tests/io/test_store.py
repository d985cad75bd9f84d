"""Stores give back what was put in, whole, small, and once."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from store_fakes import HEADER, SIZE, make_buffers, picture, record

from diffusionrig.errors import UsageError
from diffusionrig.io.images import png_bytes
from diffusionrig.io.png import decode_png
from diffusionrig.io.record import Record, pack, unpack
from diffusionrig.io.store import StoreWriter, open_store


def test_records_come_back_exactly(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        assert writer.append([record(0), record(1)]) == 2
        assert writer.append([record(2)], [("album/x.png", "No face was found.")]) == 1
    store = open_store(tmp_path / "s")
    assert len(store) == 3
    for i in range(3):
        got, put = store.record(i), record(i)
        assert (got.source, got.fields, got.image) == (put.source, put.fields, put.image)
        assert all(np.array_equal(got.arrays[name], put.arrays[name]) for name in put.arrays)
        assert np.array_equal(decode_png(got.image, SIZE, "x"), picture(i))
        assert store.record(i, image=False).image == b""
    assert store.refused() == [("album/x.png", "No face was found.")]
    assert store.header.items() >= HEADER.items()
    assert store.header["schema"] == 1
    with pytest.raises(IndexError):
        store.record(3)


def test_nothing_is_stored_twice(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0), record(1)], [("bad", "first reason")])
        assert writer.append([record(1), record(2)], [("bad", "second reason")]) == 1
        assert len(writer) == 3
        assert writer.unknown(["album/1.png", "new", "bad", "album/9.png"]) == ["new", "album/9.png"]
        assert writer.refused() == [("bad", "first reason")]


def test_a_store_is_continued_only_as_it_was_begun(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0)])
        writer.update_header(complete=True, mean_shape=[1.0, 2.0])
    with pytest.raises(UsageError, match="begun with image_size 16, not 32"):
        StoreWriter(tmp_path / "s", {**HEADER, "image_size": 32})
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        assert writer.header["mean_shape"] == [1.0, 2.0]
        writer.append([record(1)])
    assert len(open_store(tmp_path / "s")) == 2


def test_replace_adds_buffers_and_header_together(tmp_path):
    with StoreWriter(tmp_path / "s", {**HEADER, "buffers": "float16"}) as writer:
        writer.append([record(0), record(1)])
        writer.replace({1: record(1, make_buffers())}, buffers_done=2)
    store = open_store(tmp_path / "s")
    assert store.header["buffers_done"] == 2
    assert store.record(0).buffers is None
    assert store.record(1).buffers is not None


@pytest.mark.parametrize(("kind", "bound"), [("uint8", 2.4 / 254 / 2 + 1e-6), ("float16", 1.4 / 2048)])
def test_stored_buffers_keep_zero_and_precision(kind, bound):
    buffers = make_buffers()
    got = unpack(pack(record(0, buffers), kind), "x").buffers
    assert got.dtype == np.float32
    assert np.abs(got - buffers).max() <= bound
    assert not got[:, : SIZE // 3].any()


def test_empty_and_positive_buffers_survive_uint8():
    for buffers in (np.zeros((9, 8, 8), np.float32), np.full((9, 8, 8), 0.7, np.float32), -make_buffers(1, 8)):
        got = unpack(pack(record(0, buffers), "uint8"), "x").buffers
        assert np.abs(got - buffers).max() <= 0.005


def test_the_map_grows_with_the_store(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        for i in range(12):
            big = record(i)
            big.image = np.random.default_rng(i).bytes(3_000_000)
            writer.append([big])
    store = open_store(tmp_path / "s")
    assert [len(store.record(i).image) for i in range(12)] == [3_000_000] * 12
    assert (tmp_path / "s" / "data.mdb").stat().st_size < 40_000_000


def test_a_photograph_needs_at_most_130_kilobytes(tmp_path):
    data = pytest.importorskip("skimage.data")
    from diffusionrig.io.resize import resize_square

    pictures = [data.astronaut(), data.cat(), data.coffee(), data.rocket()]
    arrays = {"codes": np.random.default_rng(0).normal(size=260).astype(np.float32)}
    with StoreWriter(tmp_path / "s", {**HEADER, "image_size": 256}) as writer:
        writer.append([Record(str(i), png_bytes(resize_square(picture, 256)), arrays)
                       for i, picture in enumerate(pictures)])
    for i in range(len(pictures)):
        assert open_store(tmp_path / "s").record_bytes(i) <= 130_000
    assert (tmp_path / "s" / "data.mdb").stat().st_size / len(pictures) <= 130_000 + 16_384


def test_read_only_stores_can_be_read(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0)])
    (tmp_path / "s" / "lock.mdb").unlink()
    (tmp_path / "s").chmod(0o555)
    try:
        assert len(open_store(tmp_path / "s")) == 1
    finally:
        (tmp_path / "s").chmod(0o755)


def test_copied_stores_can_be_read(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(i) for i in range(20)])
    shutil.copytree(tmp_path / "s", tmp_path / "copy", ignore=shutil.ignore_patterns("lock.mdb"))
    assert len(open_store(tmp_path / "copy")) == 20
