"""Checkpoints survive kills and full disks, and damaged ones say so."""

from __future__ import annotations

import os

import pytest
import torch
from processes import Touch, run_and_kill, small_files_only

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import (
    export_legacy,
    load_checkpoint,
    load_released,
    load_state,
    load_weights,
    match_tensors,
    save_checkpoint,
    save_state,
)

TENSORS = {"a.weight": torch.randn(4, 3), "a.bias": torch.randn(4), "steps": torch.tensor(7)}


def test_round_trip_is_exact(tmp_path):
    meta = {"model": {"image_size": 64, "attention": [32, 16]}, "head": None, "note": "naïve"}
    save_checkpoint(tmp_path / "m.safetensors", TENSORS, meta)
    tensors, read = load_checkpoint(tmp_path / "m.safetensors")
    assert read == meta
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) and tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert os.listdir(tmp_path) == ["m.safetensors"]


def test_half_precision_storage(tmp_path):
    save_checkpoint(tmp_path / "m.safetensors", {"w": torch.randn(100, 100), "n": torch.tensor(3)}, {}, torch.float16)
    assert (tmp_path / "m.safetensors").stat().st_size < 2 * 100 * 100 + 500
    tensors, _ = load_checkpoint(tmp_path / "m.safetensors")
    assert tensors["w"].dtype == torch.float32
    assert tensors["n"].dtype == torch.int64
    assert load_checkpoint(tmp_path / "m.safetensors", dtype=None)[0]["w"].dtype == torch.float16


def test_tied_and_strided_tensors_are_saved(tmp_path):
    base = torch.randn(6, 4)
    save_checkpoint(tmp_path / "m.safetensors", {"a": base, "b": base, "c": base.t(), "d": base[1:3]}, {})
    tensors, _ = load_checkpoint(tmp_path / "m.safetensors")
    assert torch.equal(tensors["c"], base.t())
    assert torch.equal(tensors["d"], base[1:3])


def test_legacy_export_is_read_by_torch_load_and_by_us(tmp_path):
    export_legacy(tmp_path / "model000010.pt", {"w": torch.randn(3).half()})
    plain = torch.load(tmp_path / "model000010.pt", weights_only=True)
    assert type(plain).__name__ == "OrderedDict"
    assert plain["w"].dtype == torch.float32
    assert torch.equal(load_released(tmp_path / "model000010.pt")["w"], plain["w"])
    assert torch.equal(load_weights(tmp_path / "model000010.pt")[0]["w"], plain["w"])


def test_kinds_are_told_apart_by_content(tmp_path):
    save_checkpoint(tmp_path / "renamed.pt", TENSORS, {"step": 3})
    assert load_weights(tmp_path / "renamed.pt")[1] == {"step": 3}


@pytest.mark.parametrize("size", [0, 5, 60, -10])
@pytest.mark.parametrize("load", [load_checkpoint, load_weights])
def test_cut_off_safetensors(tmp_path, size, load):
    path = tmp_path / "m.safetensors"
    save_checkpoint(path, TENSORS, {"a": 1})
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    with pytest.raises(RigError, match=r"damaged|cut off") as error:
        load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [0, 5, 60, 700])
def test_cut_off_torch_files(tmp_path, size):
    path = tmp_path / "model000001.pt"
    export_legacy(path, TENSORS)
    os.truncate(path, size)
    with pytest.raises(RigError, match="damaged, cut off") as error:
        load_released(path)
    assert "\n" not in str(error.value)
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("load", [load_released, load_state, load_weights])
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, zipped, load):
    mark = tmp_path / "ran"
    torch.save({"w": Touch(mark)}, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(RigError, match=r"refused: the pickle names \w+\.system") as error:
        load(tmp_path / "m.pt")
    assert "\n" not in str(error.value)
    assert not mark.exists()


def test_files_that_are_something_else(tmp_path):
    torch.save({"state": {}, "lr": 0.1}, tmp_path / "opt.pt")
    with pytest.raises(RigError, match="is not a model"):
        load_released(tmp_path / "opt.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(RigError, match="is not a training state"):
        load_state(tmp_path / "list.pt")
    with pytest.raises(UsageError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "absent")


def test_states_hold_tensors_and_plain_values_only(tmp_path):
    state = {"step": 3, "optimizer": {"state": {0: {"exp_avg": torch.randn(3)}}, "lr": [1e-4, None, True]}, "name": "x"}
    save_state(tmp_path / "state.pt", state)
    read = load_state(tmp_path / "state.pt")
    assert torch.equal(read["optimizer"]["state"][0]["exp_avg"], state["optimizer"]["state"][0]["exp_avg"])
    assert read["optimizer"]["lr"] == [1e-4, None, True]
    with pytest.raises(TypeError, match=r"state\['path'\]"):
        save_state(tmp_path / "state.pt", {"path": tmp_path})


def test_misfit_names_what_is_missing_extra_and_misshaped():
    got = {"b": torch.zeros(2), "c": torch.zeros(3), **{f"x{i}": torch.zeros(1) for i in range(5)}}
    with pytest.raises(RigError) as error:
        match_tensors({"a": (1,), "b": (2,), "c": (4,)}, got)
    for part in ("1 missing (a)", "5 extra (x0, x1, x2, ...)", "1 misshaped (c is (3,) instead of (4,))"):
        assert part in str(error.value)
    match_tensors({"b": (2,)}, {"b": torch.zeros(2)})


def test_read_only_folder_and_full_disk_get_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RigError, match="Cannot write"):
        save_checkpoint(tmp_path / "file" / "m.safetensors", TENSORS, {})
    with small_files_only(20_000):
        for save in (lambda path, tensors: save_checkpoint(path, tensors, {}), save_state, export_legacy):
            with pytest.raises(RigError, match=r"Cannot write .*big.*free some space"):
                save(tmp_path / "big", {"w": torch.zeros(100_000)})
    assert os.listdir(tmp_path) == ["file"]


def _save_for_ever(folder, announce):
    step = 0
    while True:
        step += 1
        tensors = {"w": torch.full((300, 1000), float(step))}
        save_checkpoint(folder / "m.safetensors", tensors, {"step": step})
        save_state(folder / "state.pt", {"step": step, **tensors})
        announce()


def test_killed_while_saving_leaves_whole_files(tmp_path):
    left = 0
    for attempt in range(8):
        run_and_kill(0.01 + 0.007 * attempt, _save_for_ever, tmp_path)
        left += len(list(tmp_path.glob(".*.tmp")))
        tensors, meta = load_checkpoint(tmp_path / "m.safetensors")
        assert torch.equal(tensors["w"], torch.full((300, 1000), float(meta["step"])))
        state = load_state(tmp_path / "state.pt")
        assert torch.equal(state["w"], torch.full((300, 1000), float(state["step"])))
    assert left  # at least one kill came in the middle of a save
    # What a killed writer left behind goes with the next save.
    (tmp_path / ".m.safetensors.999999999-abcdef.tmp").write_bytes(b"x")
    save_checkpoint(tmp_path / "m.safetensors", TENSORS, {})
    save_state(tmp_path / "state.pt", {})
    assert sorted(os.listdir(tmp_path)) == ["m.safetensors", "state.pt"]


def test_a_state_keeps_the_layout_of_its_tensors(tmp_path):
    last = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).to(memory_format=torch.channels_last)
    save_state(tmp_path / "state.pt", {"weights": last, "row": last[0], "turned": last[:, :, 0, 0].T})
    read = load_state(tmp_path / "state.pt")
    assert read["weights"].stride() == last.stride()
    for name, tensor in (("weights", last), ("row", last[0]), ("turned", last[:, :, 0, 0].T)):
        assert torch.equal(read[name], tensor)
