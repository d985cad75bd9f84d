"""Stores between processes: readers and writers at once, forks, kills, a full disk."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time

import pytest
from processes import checksum_of_store, run_and_kill, small_files_only
from store_fakes import HEADER, record

from diffusionrig.errors import RigError
from diffusionrig.io.lmdb_files import ReadHandle
from diffusionrig.io.store import StoreReader, StoreWriter, open_store

GROW = """
import json, sys
import numpy as np
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter
folder, header, first, count = sys.argv[1], *map(json.loads, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
with StoreWriter(folder, header) as writer:
    for number in range(first, first + count):
        writer.append([Record(f"album/{number}.png", np.random.default_rng(number).bytes(3_000_000), {})])
"""
"""Adds ``count`` records of three megabytes, far beyond the first map, when told to."""


@contextlib.contextmanager
def growing(folder, first, count):
    """A process that is about to grow a store; call what is given to let it, and to wait until it has."""
    words = [sys.executable, "-c", GROW, str(folder), *map(json.dumps, (HEADER, first, count))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"

        def grow():
            process.communicate("go\n")
            assert process.returncode == 0

        yield grow


def test_a_reader_goes_on_while_another_process_grows_the_store(tmp_path):
    with StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(i) for i in range(4)])
    store = StoreReader(tmp_path / "s")
    expected = checksum_of_store(store)
    ended, wrong, reads = threading.Event(), [], [0, 0, 0]

    def read(number):
        try:
            while not ended.is_set():
                assert checksum_of_store(store) == expected
                reads[number] += 1
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    with growing(tmp_path / "s", 4, 12) as grow:
        for thread in threads:
            thread.start()
        grow()
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
    handle = ReadHandle(tmp_path / "s")
    with growing(tmp_path / "s", 1, 8) as grow, handle.transaction() as held:
        value = held.get(b"r00000000")
        before = bytes(value)
        grow()
        with pytest.raises(RigError, match="was grown by another process"), handle.transaction():
            pass
        assert bytes(value) == before
    with handle.transaction() as after:
        assert after.get(b"length").tobytes() == b"9"


def test_a_writer_goes_on_after_another_process_has_written(tmp_path):
    with growing(tmp_path / "s", 1, 8) as grow, StoreWriter(tmp_path / "s", HEADER) as writer:
        writer.append([record(0)])
        grow()
        assert writer.append([record(99)]) == 1
        assert len(writer) == 10


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


def test_a_full_disk_gets_a_sentence_and_loses_nothing(tmp_path):
    with StoreWriter(tmp_path, HEADER) as writer:
        writer.append([record(i) for i in range(20)])
    limit = (tmp_path / "data.mdb").stat().st_size + 10_000
    with StoreWriter(tmp_path, HEADER) as writer, small_files_only(limit):
        for i in range(20, 200, 5):
            try:
                writer.append([record(k) for k in range(i, i + 5)])
            except RigError as error:
                sentence = str(error)
                break
        else:
            pytest.fail("the disk was never full")
    assert "free some space" in sentence
    count = len(open_store(tmp_path))
    assert count == i
    with StoreWriter(tmp_path, HEADER) as writer:
        assert writer.append([record(k) for k in range(i, i + 5)]) == 5
    store = open_store(tmp_path)
    assert [store.record(k).fields["number"] for k in range(len(store))] == list(range(i + 5))
