"""create-data: what a batch says of a photograph stays with that photograph when others of the batch are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from store_fakes import FakeEncoder, FakeHead

from diffusionrig.data.batches import render_codes
from diffusionrig.data.creation import CreationOptions, create_store
from diffusionrig.data.rounds import share_of
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.store import open_store
from diffusionrig.training.distributed import Launch, World

COLOURS = {"a": (0, 0, 0), "b": (200, 60, 90), "c": (1, 0, 1), "d": (90, 220, 30), "e": (40, 80, 240)}
"""Black pictures have no face."""


class Noting(FakeEncoder):
    """Has a word for every picture."""

    def encode(self, images):
        return dataclasses.replace(super().encode(images), notes=[f"red is {image[..., 0].mean():.0f}" for image in images])


@pytest.mark.parametrize("batch", [1, 5])
def test_codes_buffers_and_notes_are_those_of_the_photograph(tmp_path, batch):
    (tmp_path / "photos").mkdir()
    for name, colour in COLOURS.items():
        Image.fromarray(np.full((32, 32, 3), colour, np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    options = CreationOptions((str(tmp_path / "photos"),), str(tmp_path / "s"), image_size=32, batch_size=batch,
                              store_buffers="float16")
    report = create_store(options, Noting(), FakeHead(), World(Launch(), torch.device("cpu"), "none"))
    assert {row["source"]: row["reason"] for row in report["refused_images"]} == {
        "photos/a.png": "red is 0", "photos/c.png": "red is 1"}
    store = open_store(tmp_path / "s")
    for number, name in enumerate("bde"):
        record = store.record(number)
        assert (record.source, record.fields["note"]) == (f"photos/{name}.png", f"red is {COLOURS[name][0]}")
        np.testing.assert_allclose(record.arrays["shape"][:3], np.array(COLOURS[name]) / 255, atol=1e-6)
        tensors = {key: torch.from_numpy(np.array(array))[None] for key, array in record.arrays.items()}
        own = render_codes(FaceCode(**tensors, head="fake-head"), FakeHead(), 32)[0].numpy()
        assert np.abs(record.buffers - own).max() < 2e-3


def test_a_rank_reads_the_batches_that_it_captures():
    ranks = [World(Launch(rank, 2, rank, 2, "torchrun"), torch.device("cpu"), "none") for rank in range(2)]
    assert [share_of(list("abcdefg"), 2, rank) for rank in ranks] == [list("abef"), list("cdg")]
