"""Pickles are read for what they are allowed to hold; anything they would run is named and not run."""

from __future__ import annotations

import io
import os
import pickle

import pytest
import torch
from processes import Touch

from diffusionrig.errors import RigError
from diffusionrig.io.pickled_tensors import read_pickled_tensor, tensor_from_pickle
from diffusionrig.io.unpickle import restricted_loads


class InStorage(Touch):
    """The same, hidden in the inner torch.save bytes of a tensor."""

    zipped = False

    def __reduce__(self):
        stream = io.BytesIO()
        torch.save(Touch(self.path), stream, _use_new_zipfile_serialization=self.zipped)
        return torch.storage._load_from_bytes, (stream.getvalue(),)


class InZippedStorage(InStorage):
    zipped = True


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_come_back_whatever_their_strides(protocol):
    tensor = torch.randn(4, 3, 5).transpose(0, 2)[1:]
    read = tensor_from_pickle(pickle.dumps(tensor, protocol), "x")
    assert torch.equal(read, tensor)
    assert read.is_contiguous()


def test_slices_of_a_larger_storage_keep_only_their_part():
    batch = torch.randn(8, 3, 4, 4)
    assert torch.equal(tensor_from_pickle(pickle.dumps(batch[5]), "x"), batch[5])


def test_mean_shape_pickled_on_cuda_loads_on_the_cpu(tmp_path, monkeypatch):
    # What a tensor on a GPU writes differs in one thing: the name of the device its storage lay on.
    mean = torch.randn(1, 100)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        data = pickle.dumps(mean)
    assert b"cuda:0" in data
    (tmp_path / "mean_shape.pkl").write_bytes(data)
    read = read_pickled_tensor(tmp_path / "mean_shape.pkl")
    assert read.device.type == "cpu"
    assert torch.equal(read, mean)


@pytest.mark.parametrize("kind", [Touch, InStorage, InZippedStorage])
def test_code_is_refused_by_name_and_not_run(tmp_path, kind):
    mark = tmp_path / "ran"
    path = tmp_path / "mean_shape.pkl"
    path.write_bytes(pickle.dumps(kind(mark)))
    with pytest.raises(RigError, match=rf"refused: the pickle names {os.system.__module__}\.system") as error:
        read_pickled_tensor(path)
    assert "\n" not in str(error.value)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Touch(mark)))
    assert mark.exists()  # the trap works


def test_allowed_functions_cannot_be_changed_by_the_pickle():
    # BUILD would set attributes on what find_class gave.
    data = b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb."
    with pytest.raises(RigError, match="refused"):
        tensor_from_pickle(data, "x")


class _Overreach:
    def __reduce__(self):
        storage = torch.zeros(4)._typed_storage()
        return torch._utils._rebuild_tensor_v2, (storage, 0, (1000, 1000), (1000, 1), False, None)


@pytest.mark.parametrize("data", [b"", b"abc", b"\x80\x04", pickle.dumps(_Overreach()), pickle.dumps(torch.ones(3))[:-20]])
def test_damaged_pickles_get_one_sentence(data):
    with pytest.raises(RigError, match="is not a readable pickle") as error:
        tensor_from_pickle(data, "rendered_000001")
    assert "\n" not in str(error.value)


def test_other_harmless_contents_are_refused_too():
    with pytest.raises(RigError, match="holds dict, but a tensor is needed"):
        tensor_from_pickle(pickle.dumps({"a": 1}), "x")


def test_names_can_be_allowed_for_other_kinds_of_files():
    data = b"\x80\x02cchumpy.ch\nCh\n)\x81."
    with pytest.raises(RigError, match=r"names chumpy\.ch\.Ch"):
        restricted_loads(data, {}, "generic_model.pkl")
