"""Stores that are damaged, cut off or none at all: one sentence that names the record."""

from __future__ import annotations

import os
import pickle

import lmdb
import pytest
from processes import Touch
from store_fakes import HEADER, SIZE, picture, record

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.images import png_bytes
from diffusionrig.io.lmdb_files import open_writable
from diffusionrig.io.png import decode_png
from diffusionrig.io.record import pack
from diffusionrig.io.store import StoreWriter, open_store


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


def test_a_picture_that_announces_another_size_is_not_decoded():
    data = bytearray(png_bytes(picture(0)))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(RigError, match="60000 x 60000 pixels instead of 16 x 16"):
        decode_png(bytes(data), SIZE, "record 0")
    with pytest.raises(RigError, match="is damaged"):
        decode_png(b"no picture", SIZE, "record 0")
