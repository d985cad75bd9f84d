"""``diffusionrig create-data``: what its flags ask for reaches the capture and the store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from store_fakes import FakeEncoder, FakeHead

from diffusionrig.capture import registry
from diffusionrig.capture.encoder import Capture
from diffusionrig.cli import main
from diffusionrig.data import creation
from diffusionrig.geometry import heads
from diffusionrig.io.folder_lock import NAME as LOCK
from diffusionrig.io.folder_lock import folder_lock
from diffusionrig.io.images import png_bytes
from diffusionrig.io.store import open_store

SIDE = 48


class Noting(FakeEncoder):
    """Has a remark on every photograph."""

    def encode(self, images) -> Capture:
        seen = super().encode(images)
        return Capture(seen.code, seen.found, [f"{image.shape[0]} pixels were looked at." for image in images])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """One run with every flag set to something else than its default, and what was asked of the parts."""
    root = tmp_path_factory.mktemp("create")
    (root / "photos").mkdir()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for number, level in enumerate((235, 78, 20)):
        shaded = np.stack([rows + columns, 2 * rows, (rows * columns) % 97], 2) % 16 + level
        Image.fromarray(shaded.astype(np.uint8)).save(root / "photos" / f"{number}.png")
    Image.fromarray(np.full((SIDE, 2 * SIDE, 3), 240, np.uint8)).save(root / "photos" / "wide.png")
    (root / "tables").mkdir()
    (root / "tables" / "mine.csv").write_text("subDirectory_filePath,expression,valence\n0.png,1,0.25\n")
    asked: dict = {"root": root}

    def make(name, head, device, options):
        asked.update(encoder=name, head=head, device=device, landmarks=options.landmarks)
        return Noting()

    def load(name=""):
        asked["head_name"] = name
        return FakeHead()

    create = creation.create_store

    def spied(options, *rest):
        asked["options"] = options
        return create(options, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "make_encoder", make)
        patch.setattr(registry, "check_usable", lambda name: name)
        patch.setattr(heads, "load_head", load)
        patch.setattr(creation, "create_store", spied)
        assert main(["create-data", "--data_dir", str(root / "photos"), "--output_dir", str(root / "store"), "--image_size", "24",
                     "--batch_size", "3", "--use_meanshape", "True", "--use_model", "DECA", "--head", "fake-head", "--landmarks",
                     "fan", "--store_buffers", "uint8", "--min_confidence", "0.75", "--labels", str(root / "tables" / "mine.csv"),
                     "--max_megapixels", "0.004", "--num_workers", "1", "--device", "cpu"]) == 0
    return asked


def test_every_flag_reaches_its_part(made: dict) -> None:
    root = made["root"]
    assert made["options"] == creation.CreationOptions(
        data_dir=(str(root / "photos"),), output_dir=str(root / "store"), image_size=24, batch_size=3, use_meanshape=True,
        store_buffers="uint8", max_megapixels=0.004, num_workers=1, min_confidence=0.75, drop_flagged=False,
        labels=(str(root / "tables" / "mine.csv"),))
    assert (made["encoder"], made["head_name"], made["landmarks"], made["device"]) == ("DECA", "fake-head", "fan", "cpu")


def test_the_store_is_what_was_asked_for(made: dict) -> None:
    store = open_store(made["root"] / "store")
    assert (store.header["image_size"], store.header["buffers"], store.header["use_meanshape"]) == (24, "uint8", True)
    fields = {record.source: record.fields for record in map(store.record, range(len(store)))}
    # Above .75 the first, below it the second, which the usual limit of .5 would let pass; the wide one is too large.
    assert {name: row.get("flagged", False) for name, row in fields.items()} == {
        "photos/0.png": False, "photos/1.png": True, "photos/2.png": True}
    assert (fields["photos/0.png"]["expression_name"], fields["photos/0.png"]["valence"]) == ("happy", 0.25)
    assert {row["note"] for row in fields.values()} == {f"{SIDE} pixels were looked at."}
    report = json.loads((made["root"] / "store" / "report.json").read_text())
    assert [(Path(row["source"]).name, "--max_megapixels" in row["reason"]) for row in report["refused_images"]] == [
        ("wide.png", True)]


def test_the_folder_is_held_while_it_is_written(made: dict, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    words = ["create-data", "--data_dir", str(made["root"] / "photos"), "--output_dir", str(made["root"] / "store"),
             "--device", "cpu"]
    monkeypatch.setattr(creation, "create_store", lambda *_: pytest.fail("the folder was written to"))
    assert not (made["root"] / "store" / LOCK).exists()
    with folder_lock(made["root"] / "store", "create-data"):
        assert main(words) == 1
    assert "store is in use by process" in capsys.readouterr().err


def test_pictures_are_stored_as_small_as_level_six_makes_them(made: dict) -> None:
    from diffusionrig.io.png import decode_png

    store = open_store(made["root"] / "store")
    for number in range(len(store)):
        data = store.record(number).image
        assert data == png_bytes(decode_png(data, 24, "it"), level=6)
