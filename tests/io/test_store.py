"""Stores give back what was put in, survive kills, and say what is wrong with bad ones."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import threading
import time

import lmdb
import numpy as np
import pytest
import torch
from processes import Touch, checksum_of_store, run_and_kill, small_files_only
from store_fakes import SIZE, make_buffers, picture, publish

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.images import png_bytes
from diffusionrig.io.lmdb_files import ReadHandle, open_writable
from diffusionrig.io.png import decode_png
from diffusionrig.io.record import Record, pack, unpack
from diffusionrig.io.store import StoreReader, StoreWriter, open_store

HEADER = {"image_size": SIZE, "head": "fake-head", "head_hash": "12", "encoder": "FAKE"}


def record(seed: int, buffers: np.ndarray | None = None) -> Record:
    random = np.random.default_rng(seed)
    arrays = {"shape": random.normal(size=5).astype(np.float32), "light": random.normal(size=(9, 3)).astype(np.float32)}
    return Record(f"album/{seed}.png", png_bytes(picture(seed)), arrays, {"number": seed, "name": "Zoë"}, buffers)


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


def _grow(folder, first, count, go):
    """Adds ``count`` records of three megabytes, far beyond the first map, when told to."""
    go.wait()
    with StoreWriter(folder, HEADER) as writer:
        for i in range(first, first + count):
            big = record(i)
            big.image = np.random.default_rng(i).bytes(3_000_000)
            writer.append([big])


def test_a_reader_goes_on_while_another_process_grows_the_store(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(i) for i in range(4)])
    store = StoreReader(tmp_path / "s")
    expected = checksum_of_store(store)
    context = multiprocessing.get_context("spawn")
    go, ended, wrong, reads = context.Event(), threading.Event(), [], [0, 0, 0]
    other = context.Process(target=_grow, args=(tmp_path / "s", 4, 12, go))
    other.start()

    def read(number):
        try:
            while not ended.is_set():
                assert checksum_of_store(store) == expected
                reads[number] += 1
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    go.set()
    other.join()
    before = list(reads)
    deadline = time.monotonic() + 30
    while not wrong and any(now == then for now, then in zip(reads, before)) and time.monotonic() < deadline:
        time.sleep(0.01)
    ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(now > then for now, then in zip(reads, before))  # all read on after the store had grown
    assert (tmp_path / "s" / "data.mdb").stat().st_size > 2 * 16 * 2**20
    assert len(StoreReader(tmp_path / "s")) == 16
    assert len(StoreReader(tmp_path / "s").record(15).image) == 3_000_000


def test_the_map_is_not_taken_from_under_a_reader(tmp_path, monkeypatch):
    monkeypatch.setattr("diffusionrig.io.lmdb_files.PATIENCE", 0.2)
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0)])
    handle, context = ReadHandle(tmp_path / "s"), multiprocessing.get_context("spawn")
    go = context.Event()
    go.set()
    with handle.transaction() as held:
        value = held.get(b"r00000000")
        before = bytes(value)
        other = context.Process(target=_grow, args=(tmp_path / "s", 1, 8, go))
        other.start()
        other.join()
        with pytest.raises(RigError, match="was grown by another process"), handle.transaction():
            pass
        assert bytes(value) == before
    with handle.transaction() as after:
        assert after.get(b"length").tobytes() == b"9"


def test_a_writer_goes_on_after_another_process_has_written(tmp_path):
    context = multiprocessing.get_context("spawn")
    go = context.Event()
    go.set()
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0)])
        other = context.Process(target=_grow, args=(tmp_path / "s", 1, 8, go))
        other.start()
        other.join()
        assert writer.append([record(99)]) == 1
        assert len(writer) == 10


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


def _write_for_ever(folder, announce):
    with StoreWriter(folder, HEADER) as writer:
        done = len(writer)
        while True:
            for i in range(done, done + 40, 4):
                writer.append([record(k) for k in range(i, i + 4)], [(f"bad{i}", "reason")])
            done += 40
            announce()


def test_killed_writers_leave_whole_batches(tmp_path):
    for attempt in range(6):
        store = None
        run_and_kill(0.003 * attempt, _write_for_ever, tmp_path / "s")
        store = StoreReader(tmp_path / "s")
        assert len(store) % 4 == 0
        assert len(store) // 4 == len(store.refused())
        assert [store.record(i).fields["number"] for i in range(len(store))] == list(range(len(store)))
    assert len(store) >= 240


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_may_use_a_reader_that_was_opened_before_them(tmp_path, start):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(i) for i in range(5)])
    store = open_store(tmp_path / "s")
    expected = checksum_of_store(store)
    with multiprocessing.get_context(start).Pool(1) as pool:
        assert pool.map(checksum_of_store, [store] * 2) == [expected] * 2
    assert checksum_of_store(store) == expected
    assert checksum_of_store(pickle.loads(pickle.dumps(store))) == expected


def test_a_forked_child_reads_through_its_own_handle(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(i) for i in range(5)])
    store = open_store(tmp_path / "s")
    expected = checksum_of_store(store)
    child = os.fork()
    if child == 0:
        os._exit(0 if checksum_of_store(store) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert checksum_of_store(store) == expected


def test_read_only_stores_can_be_read(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0)])
    (tmp_path / "s" / "lock.mdb").unlink()
    (tmp_path / "s").chmod(0o555)
    try:
        assert len(open_store(tmp_path / "s")) == 1
    finally:
        (tmp_path / "s").chmod(0o755)


# --- published stores


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


# --- bad stores


@pytest.fixture
def small_store(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(i) for i in range(20)])
    return tmp_path / "s"


def tamper(folder, key, value):
    with open_writable(folder) as environment, environment.begin(write=True) as transaction:
        if value is None:
            transaction.delete(key)
        else:
            transaction.put(key, value)


@pytest.mark.parametrize(("key", "value", "sentence"), [
    (b"length", None, "does not say how many records"),
    (b"length", b"19", "holds 19 records, but does not"),
    (b"length", b"25", "holds 25 records, but does not"),
    (b"header", b"{", "header of the store .* is damaged"),
    (b"header", b'{"schema": 9}', "schema version 9, but this version of diffusionrig reads 1"),
])
def test_bad_stores_get_sentences(small_store, key, value, sentence):
    tamper(small_store, key, value)
    with pytest.raises(RigError, match=sentence):
        open_store(small_store)


@pytest.mark.parametrize("value", [b"", b"DRS1", b"x" * 100, pack(record(7))[:-1], pack(record(7))[:60],
                                   pack(record(7)).replace(b"number", b"nomber"), pickle.dumps(Touch("/tmp/x"))])
def test_damaged_records_are_named(small_store, value):
    tamper(small_store, b"r%08d" % 7, value)
    store = open_store(small_store)
    store.record(6)
    with pytest.raises(RigError, match=r"record 7 of .* is damaged") as error:
        store.record(7)
    assert "\n" not in str(error.value)


def test_a_flipped_bit_in_a_picture_is_noticed(small_store):
    data = bytearray(pack(record(3)))
    data[-30] ^= 1
    tamper(small_store, b"r%08d" % 3, bytes(data))
    with pytest.raises(RigError, match="wrong checksum"):
        open_store(small_store).record(3)


def test_a_missing_record_is_noticed(small_store):
    tamper(small_store, b"r%08d" % 5, None)
    with pytest.raises(RigError, match="record 5 is missing"):
        open_store(small_store).record(5)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_cut_off_stores_do_not_crash(small_store, share):
    file = small_store / "data.mdb"
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(RigError, match=r"cut off|damaged"):
        open_store(small_store)


def test_files_that_are_no_store(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(UsageError, match="no store at"):
        open_store(tmp_path / "s")
    with pytest.raises(UsageError, match="no store at"):
        open_store(tmp_path / "absent")
    (tmp_path / "s" / "data.mdb").write_bytes(b"text" * 5000)
    with pytest.raises(RigError, match="damaged or no LMDB file"):
        open_store(tmp_path / "s")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        StoreWriter(tmp_path / "file", HEADER)
    with lmdb.open(str(tmp_path / "other")) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"a", b"b")
    with pytest.raises(RigError, match="is not a face store"):
        open_store(tmp_path / "other")


def test_a_full_disk_gets_a_sentence_and_loses_nothing(small_store):
    limit = (small_store / "data.mdb").stat().st_size + 10_000
    with StoreWriter(small_store, HEADER) as writer, small_files_only(limit):
        for i in range(20, 200, 5):
            try:
                writer.append([record(k) for k in range(i, i + 5)])
            except RigError as error:
                sentence = str(error)
                break
        else:
            pytest.fail("the disk was never full")
    assert "free some space" in sentence
    count = len(open_store(small_store))
    assert count == i
    with StoreWriter(small_store, HEADER) as writer:
        assert writer.append([record(k) for k in range(i, i + 5)]) == 5
    store = open_store(small_store)
    assert [store.record(k).fields["number"] for k in range(len(store))] == list(range(i + 5))


def test_a_picture_that_announces_another_size_is_not_decoded():
    data = bytearray(png_bytes(picture(0)))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(RigError, match="60000 x 60000 pixels instead of 16 x 16"):
        decode_png(bytes(data), SIZE, "record 0")
    with pytest.raises(RigError, match="is damaged"):
        decode_png(b"no picture", SIZE, "record 0")


def test_copied_stores_can_be_read(small_store, tmp_path):
    shutil.copytree(small_store, tmp_path / "copy", ignore=shutil.ignore_patterns("lock.mdb"))
    assert len(open_store(tmp_path / "copy")) == 20
