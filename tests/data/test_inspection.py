"""inspect: the numbers are those of the records, and the sheet shows them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from store_fakes import SIZE, FakeHead, make_buffers, make_code, picture, publish

from diffusionrig.cli import run_command
from diffusionrig.data.inspection import store_sheet, store_statistics
from diffusionrig.data.records import code_arrays, store_header
from diffusionrig.io.images import png_bytes
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter


@pytest.fixture
def store(tmp_path):
    codes = make_code(5)
    with StoreWriter(tmp_path / "s", store_header(FakeHead(), SIZE, "FAKE", "uint8")) as writer:
        writer.append([Record(f"{i}.png", png_bytes(picture(i)), code_arrays(codes[i].replace(
            confidence=codes.confidence[i:i + 1] * (i + 1) / 5)), {"flagged": True} if i < 2 else {"valence": 0.5},
            make_buffers(i)) for i in range(5)], [("x.png", "No face was found.")])
        writer.update_header(complete=True)
    return tmp_path / "s"


def test_statistics_are_those_of_the_records(store):
    statistics = store_statistics(store)
    codes = make_code(5)
    assert statistics["count"] == 5
    assert statistics["fields"] == {"flagged": 2, "valence": 3}
    assert statistics["refused"] == [("x.png", "No face was found.")]
    assert statistics["codes"]["expression"]["mean"] == pytest.approx(float(codes.expression.mean()))
    assert statistics["codes"]["shape"]["min"] == pytest.approx(float(codes.shape.min()))
    assert statistics["codes"]["light"]["size"] == 27
    assert sum(statistics["confidence"]) == 5
    assert statistics["confidence"][-1] == 1
    assert statistics["bytes_max"] >= statistics["bytes_mean"] > 0


def test_the_sheet_shows_pictures_and_buffers(store):
    one, all_of_them = store_sheet(store, None, columns=1), store_sheet(store, None, columns=50)
    assert one.dtype == np.uint8
    assert all_of_them.shape[1] > 3 * one.shape[1]
    assert one.shape[0] > 4 * 96
    assert one.std() > 20


def test_codes_are_rendered_for_the_sheet(tmp_path):
    with StoreWriter(tmp_path / "s", store_header(FakeHead(), SIZE, "FAKE")) as writer:
        writer.append([Record("0", png_bytes(picture(0)), code_arrays(make_code(1)))])
    sheet = store_sheet(tmp_path / "s", FakeHead(), columns=1)
    assert sheet[-60:-10, -60:-10].std() > 5


def test_the_command_prints_a_table_and_writes_the_sheet(store, tmp_path, capsys):
    assert run_command("inspect", [str(store), "--output", str(tmp_path / "sheet.png")]) == 0
    printed = capsys.readouterr().out
    for part in ("5 of 16 x 16 pixels", "FAKE", "fake-head", "stored as uint8", "flagged       2", "valence (3)",
                 "expression", "refused       1"):
        assert part in printed, part
    assert Image.open(tmp_path / "sheet.png").size[0] > 200
    assert run_command("inspect", [str(store)]) == 0
    assert (store / "inspect.png").exists()


def test_published_stores_can_be_inspected(tmp_path, capsys):
    publish(tmp_path / "p")
    assert run_command("inspect", [str(tmp_path / "p"), "--output", str(tmp_path / "sheet.png")]) == 0
    assert "published create_data.py" in capsys.readouterr().out


def test_unfinished_stores_say_so(tmp_path, capsys):
    with StoreWriter(tmp_path / "s", store_header(FakeHead(), SIZE, "FAKE", "float16")) as writer:
        writer.append([Record("0", png_bytes(picture(0)), code_arrays(make_code(1)), {}, make_buffers())])
    assert run_command("inspect", [str(tmp_path / "s")]) == 0
    assert "NOT FINISHED" in capsys.readouterr().out


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(),
                                  lambda path: StoreWriter(path, store_header(FakeHead(), SIZE, "FAKE")).close()])
def test_what_is_no_store_gets_a_sentence(tmp_path, capsys, make):
    make(tmp_path / "s")
    assert run_command("inspect", [str(tmp_path / "s")]) in (1, 2)
    assert capsys.readouterr().err.count("\n") == 1
