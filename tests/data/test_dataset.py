"""Datasets and loaders give the same samples whatever reads them."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch
from store_fakes import SIZE, FakeHead, make_buffers, make_code, picture, publish

from diffusionrig.data.batches import render_batch, render_codes
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.loader import BatchLoader
from diffusionrig.data.records import code_arrays, code_from_arrays, store_header
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.images import png_bytes
from diffusionrig.io.record import Record
from diffusionrig.io.store import StoreWriter

COUNT = 7


@pytest.fixture
def head():
    return FakeHead()


def write(path, head, buffers="none", **header):
    codes = make_code(COUNT)
    with StoreWriter(path, store_header(head, SIZE, "FAKE", buffers)) as writer:
        writer.append([Record(f"{i}.png", png_bytes(picture(i)), code_arrays(codes[i]), {"number": i},
                              make_buffers(i) if buffers != "none" else None) for i in range(COUNT)])
        writer.update_header(complete=True, **header)
    return path


def test_codes_survive_the_store_exactly(tmp_path, head):
    dataset = FaceStoreDataset(write(tmp_path / "s", head), head=head)
    assert len(dataset) == COUNT
    for i, code in enumerate(make_code(COUNT)):
        sample = dataset.item(i)
        assert np.array_equal(sample.image.numpy(), np.moveaxis(picture(i), -1, 0))
        assert sample.fields == {"number": i}
        assert sample.buffers is None
        for name, tensor in code.tensors().items():
            assert torch.equal(getattr(sample.code, name), tensor), name
            assert torch.equal(getattr(dataset.code(i), name), tensor), name


def test_incomplete_codes_are_refused():
    with pytest.raises(RigError, match="record 4 does not hold a face code"):
        code_from_arrays({"shape": np.zeros(4)}, "fake-head", "record 4")


def test_another_head_is_refused(tmp_path, head):
    write(tmp_path / "s", head)
    head.hash = "0" * 64
    with pytest.raises(RigError, match="another edition of the head model fake-head"):
        FaceStoreDataset(tmp_path / "s", head=head)
    head.name = "flame"
    with pytest.raises(RigError, match="made with the head model fake-head, not flame"):
        FaceStoreDataset(tmp_path / "s", head=head)


def test_pictures_and_buffers_shrink_by_area(tmp_path, head):
    write(tmp_path / "s", head, "float16")
    whole, half = FaceStoreDataset(tmp_path / "s").item(2), FaceStoreDataset(tmp_path / "s", SIZE // 2).item(2)
    mean = torch.nn.functional.avg_pool2d(whole.image[None].float(), 2)[0]
    assert (half.image.float() - mean).abs().max() <= 0.5001
    assert torch.allclose(half.buffers, torch.nn.functional.avg_pool2d(whole.buffers[None], 2)[0], atol=1e-6)
    with pytest.raises(UsageError, match="holds images of 16 pixels, too small for --image_size 32"):
        FaceStoreDataset(tmp_path / "s", 32)


def test_mean_shape_replaces_every_shape_when_asked(tmp_path, head):
    mean = [0.5, -1.0, 0.0, 2.0]
    write(tmp_path / "a", head, mean_shape=mean, use_meanshape=True)
    write(tmp_path / "b", head, mean_shape=mean, use_meanshape=False)
    assert FaceStoreDataset(tmp_path / "a").item(3).code.shape.tolist() == [mean]
    assert torch.equal(FaceStoreDataset(tmp_path / "b").item(3).code.shape, make_code(COUNT)[3].shape)
    codes, with_mean = make_code(COUNT)[3], FaceStoreDataset(tmp_path / "a").item(3).code
    assert torch.equal(render_codes(codes, head, SIZE, torch.tensor([mean])), render_codes(with_mean, head, SIZE))


def test_published_stores_are_datasets_too(tmp_path):
    dataset = FaceStoreDataset(publish(tmp_path / "p"))
    sample = dataset.item(1)
    assert np.array_equal(sample.buffers.numpy(), make_buffers(1))
    assert sample.code is None
    with pytest.raises(RigError, match="holds no face codes"):
        dataset.code(0)
    with BatchLoader(dataset, 2, seed=0) as loader:
        batch = loader.next()
    assert np.array_equal(batch.buffers[0].numpy(), make_buffers(int(batch.index[0])))


def test_buffers_that_are_not_drawn_yet_are_named(tmp_path, head):
    with StoreWriter(tmp_path / "s", store_header(head, SIZE, "FAKE", "uint8")) as writer:
        writer.append([Record("0", png_bytes(picture(0)), code_arrays(make_code(1)))])
    with pytest.raises(RigError, match="is not finished: record 0 has no buffers yet"):
        FaceStoreDataset(tmp_path / "s").item(0)


def test_empty_stores_are_refused(tmp_path, head):
    StoreWriter(tmp_path / "s", store_header(head, SIZE, "FAKE")).close()
    with pytest.raises(RigError, match="is empty"):
        FaceStoreDataset(tmp_path / "s")
    with pytest.raises(RigError, match="is empty"):
        FaceStoreDataset(publish(tmp_path / "p", 0))


def test_images_span_minus_one_to_one(head):
    images = torch.tensor([0, 255, 128], dtype=torch.uint8).repeat_interleave(SIZE * SIZE).reshape(1, 3, SIZE, SIZE)
    batch = render_batch(images, make_code(1), head, SIZE)
    assert batch.image[0, :, 0, 0].tolist() == pytest.approx([-1.0, 1.0, 2 * 128 / 255 - 1], abs=1e-6)
    assert batch.buffers.shape == (1, 9, SIZE, SIZE)
    assert batch.buffers.abs().max() > 0.1


def batches(path, head, count, **arguments):
    with BatchLoader(FaceStoreDataset(path, head=head), head=head, seed=4, **arguments) as loader:
        return list(itertools.islice(loader, count))


def same(one, other):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("image", "buffers", "index"))


@pytest.mark.parametrize("arguments", [{"num_workers": 2}, {"num_workers": 5}, {"num_workers": 0, "cache_bytes": 0},
                                       {"num_workers": 2, "cache_bytes": 0}])
def test_batches_do_not_depend_on_workers_or_cache(tmp_path, head, arguments):
    write(tmp_path / "s", head)
    plain = batches(tmp_path / "s", head, 6, batch_size=3, num_workers=0)
    assert all(map(same, batches(tmp_path / "s", head, 6, batch_size=3, **arguments), plain))


def test_ranks_see_what_one_rank_with_their_batches_sees(tmp_path, head):
    write(tmp_path / "s", head)
    whole = batches(tmp_path / "s", head, 4, batch_size=6)
    parts = [batches(tmp_path / "s", head, 4, batch_size=2, rank=rank, ranks=3) for rank in range(3)]
    for step, batch in enumerate(whole):
        for name in ("image", "buffers", "index"):
            assert torch.equal(torch.cat([getattr(part[step], name) for part in parts]), getattr(batch, name))


def test_a_resumed_loader_continues(tmp_path, head):
    write(tmp_path / "s", head)
    whole = batches(tmp_path / "s", head, 6, batch_size=4)
    assert all(map(same, batches(tmp_path / "s", head, 3, batch_size=4, samples_seen=12), whole[3:]))


def test_batches_hold_the_records_they_name(tmp_path, head):
    write(tmp_path / "s", head)
    for batch in batches(tmp_path / "s", head, 3, batch_size=10):  # more than the store holds
        for image, index in zip(batch.image, batch.index):
            pixels = torch.round((image + 1) * 127.5).byte().numpy()
            assert np.array_equal(pixels, np.moveaxis(picture(int(index)), -1, 0))


def test_a_damaged_record_reaches_the_caller(tmp_path, head):
    with StoreWriter(tmp_path / "s", store_header(head, SIZE, "FAKE")) as writer:
        writer.append([Record("x", b"no picture", code_arrays(make_code(1)))])
    with pytest.raises(RigError, match=r"The picture of record 0 of .* is damaged"):
        batches(tmp_path / "s", head, 1, batch_size=2)


def test_codes_without_a_head_are_refused(tmp_path, head):
    with pytest.raises(UsageError, match="give the head model"):
        BatchLoader(FaceStoreDataset(write(tmp_path / "s", head)), 2, seed=0)


def test_datasets_can_be_sent_to_workers(tmp_path, head):
    dataset = pickle.loads(pickle.dumps(FaceStoreDataset(write(tmp_path / "s", head))))
    assert np.array_equal(dataset.item(0).image.numpy(), np.moveaxis(picture(0), -1, 0))
