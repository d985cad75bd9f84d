"""The weights of DECA, EMOCA and SMIRK in their real formats and sizes, and the sentences for those that do not fit."""

from __future__ import annotations

import collections
from pathlib import Path
from typing import Any

import pytest
import torch
from standins.checkpoints import deca_networks, emoca_folder, write_deca, write_emoca, write_lightning, write_smirk
from standins.networks import count, detail_decoder_names, encoder_names, smirk_names
from standins.pickles import Call, Name, dumps

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.emoca_folder import best_checkpoint
from diffusionrig.io.encoder_files import check_deca, check_emoca, check_smirk, emoca_left_out, read_deca, read_emoca, read_smirk
from diffusionrig.io.torch_files import TENSOR_NAMES, open_torch
from diffusionrig.io.unpickle import restricted_loads


@pytest.fixture(scope="module")
def networks() -> dict[str, dict[str, torch.Tensor]]:
    return deca_networks()


def same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_the_stand_ins_have_the_published_numbers_of_parameters() -> None:
    assert [count(encoder_names(n)) for n in (236, 128, 50, 53)] == [25_848_108, 25_737_408, 25_657_458, 25_660_533]
    assert count(encoder_names(236), trainable=False) == 322
    assert count(detail_decoder_names()) == 1_773_345
    assert (count(smirk_names()), count(smirk_names(), trainable=False)) == (3_599_921, 762)


def test_the_three_networks_of_deca(standin_folder: Path, networks: dict[str, dict[str, torch.Tensor]], tmp_path: Path) -> None:
    read = read_deca(standin_folder / "deca_model.tar")
    assert list(read) == ["E_flame", "E_detail", "D_detail"]
    assert all(same(read[name], networks[name]) for name in networks)
    write_deca(tmp_path / "deca_model.tar", networks, legacy=True)
    read = read_deca(tmp_path / "deca_model.tar")
    assert all(same(read[name], networks[name]) for name in networks)


def test_emoca_version_2(standin_folder: Path, networks: dict[str, dict[str, torch.Tensor]]) -> None:
    folder = standin_folder / "emoca" / emoca_folder("v2")
    read, settings = read_emoca(folder)
    assert set(read) == {"E_flame", "E_detail", "D_detail", "E_expression"}
    assert same(read["E_flame"], networks["E_flame"])
    assert read["E_expression"]["layers.2.weight"].shape == (53, 1024)
    assert settings["detail"]["model"]["exp_deca_jaw_pose"] is True
    left = emoca_left_out(folder)
    assert left["deca.flame"] == 2
    assert left["lipread_loss.model"] == 1
    assert not any(name.startswith("deca.E_") for name in left)
    check_emoca(folder)


@pytest.mark.parametrize(("kind", "outputs"), [("v1", 50), ("v2-both", 56)])
def test_other_layouts_of_emoca(tmp_path: Path, networks: dict[str, dict[str, torch.Tensor]], kind: str, outputs: int) -> None:
    folder = write_emoca(tmp_path, networks, kind=kind)
    assert folder.name == ("EMOCA" if kind == "v1" else "EMOCA_v2_lr_mse_20")
    assert read_emoca(folder)[0]["E_expression"]["layers.2.bias"].shape == (outputs,)


def test_the_checkpoint_of_the_smallest_loss_counts(tmp_path: Path) -> None:
    inner = tmp_path / "detail" / "checkpoints"
    with pytest.raises(UsageError, match=r"no checkpoint \(\*\.ckpt\) below .*detail/checkpoints"):
        best_checkpoint(tmp_path)

    def made(*names: str) -> None:
        for name in names:
            (inner / name).parent.mkdir(parents=True, exist_ok=True)
            (inner / name).touch()

    made("last.ckpt")
    assert best_checkpoint(tmp_path).name == "last.ckpt"
    made("model.ckpt")
    assert best_checkpoint(tmp_path).name == "model.ckpt"
    made("other.ckpt")
    with pytest.raises(UsageError, match="None of the 2 checkpoints"):
        best_checkpoint(tmp_path)
    made("deca-epoch=03-val_loss=10.5.ckpt", "deca-epoch=12-val_loss/dataloader_idx_0=9.75.ckpt", "a=9.8-v1.ckpt", "b=1e2.ckpt")
    assert best_checkpoint(tmp_path).name == "dataloader_idx_0=9.75.ckpt"
    made("c=-2.0-v3.ckpt")
    assert best_checkpoint(tmp_path).name == "c=-2.0-v3.ckpt"


def test_smirk(standin_folder: Path) -> None:
    read = read_smirk(standin_folder / "SMIRK_em1.pt")
    assert {name: tuple(tensor.shape) for name, tensor in read.items()} == dict(smirk_names())
    check_smirk(standin_folder / "SMIRK_em1.pt")


def test_only_the_networks_are_read_from_the_file(standin_folder: Path) -> None:
    path = standin_folder / "deca_model.tar"
    with open_torch(path, "DECA's weights") as file:
        assert set(file.tree) == {"E_flame", "E_detail", "D_detail", "opt", "global_step", "batch_size"}
        lazy = file.tree["E_flame"]["layers.2.weight"]
        assert (lazy.size, file.load(lazy).shape) == ((236, 1024), (236, 1024))


SMALL = {"E_flame": {"layers.2.weight": torch.zeros(10, 4)}, "E_detail": {"a": torch.zeros(1)}, "D_detail": {"a": torch.zeros(1)}}


@pytest.mark.parametrize(("state", "words"), [
    ({}, "lacks E_flame"), ({"model": {}}, r"lacks E_flame \(it holds model\)"), ([1], "lacks E_flame"),
    (SMALL, "E_flame.layers.2.weight of .* gives 10 numbers, but 236 are needed"),
    ({**SMALL, "E_flame": {"layers.2.weight": torch.zeros(236, 1024)}}, "E_flame of .* lacks encoder.conv1.weight"),
    ({**SMALL, "E_flame": {"encoder.conv1.weight": 3}}, r"E_flame\.encoder\.conv1\.weight of .* is no tensor"),
])
def test_files_that_are_not_decas(tmp_path: Path, state: Any, words: str) -> None:
    path = tmp_path / "deca_model.tar"
    torch.save(state, path)
    for read in (read_deca, check_deca):
        with pytest.raises(RigError, match=words) as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("change", "words"), [
    (("E_detail", "encoder.conv1.weight", torch.zeros(64, 3, 3, 3)), r"conv1.weight of E_detail in .* \(64, 3, 3, 3\), but"),
    (("D_detail", "conv_blocks.22.bias", torch.zeros(1)), "D_detail of .* has 45 tensors, but 44 are needed"),
    (("E_flame", "layers.0.bias", torch.full((1024,), torch.nan)), r"E_flame\.layers\.0\.bias of .* not finite"),
])
def test_networks_of_another_shape(tmp_path: Path, networks: dict[str, dict[str, torch.Tensor]], change: tuple[str, str, Any],
                                   words: str) -> None:
    network, name, value = change
    path = tmp_path / "deca_model.tar"
    write_deca(path, {**networks, network: {**networks[network], name: value}})
    with pytest.raises(RigError, match=words):
        read_deca(path)


def test_incomplete_folders_and_checkpoints_of_emoca(tmp_path: Path) -> None:
    (tmp_path / "detail" / "checkpoints").mkdir(parents=True)
    path = tmp_path / "detail" / "checkpoints" / "a=1.0.ckpt"
    write_lightning(path, {"deca.flame.v_template": torch.zeros(3)})
    with pytest.raises(UsageError, match="There is no file of settings at"):
        read_emoca(tmp_path)
    (tmp_path / "cfg.yaml").write_text("detail: {}")
    for read in (read_emoca, check_emoca):
        with pytest.raises(RigError, match=r"a=1\.0\.ckpt lacks E_flame"):
            read(tmp_path)
    torch.save({"weights": 1}, path)
    with pytest.raises(RigError, match=r"lacks state_dict \(it holds weights\)"):
        read_emoca(tmp_path)


def test_files_that_are_not_smirks(tmp_path: Path) -> None:
    path = tmp_path / "SMIRK_em1.pt"
    torch.save({"smirk_generator.a": torch.zeros(1)}, path)
    with pytest.raises(RigError, match=r"no tensors under smirk_encoder\. \(it holds smirk_generator\.a\)"):
        read_smirk(path)
    write_smirk(path)
    state = torch.load(path, weights_only=True)
    state["smirk_encoder.shape_encoder.shape_layers.0.weight"] = torch.zeros(100, 960)
    torch.save(state, path)
    for read in (read_smirk, check_smirk):
        with pytest.raises(RigError, match=r"shape_layers\.0\.weight of SMIRK's encoder in .* \(100, 960\), but \(300, 960\)"):
            read(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_files_of_both_formats(tmp_path: Path, legacy: bool) -> None:
    base = torch.randn(6, 5)
    state = collections.OrderedDict(a=base.half(), b=base.T[1:3], c=base[2], d=torch.arange(7), e=torch.tensor([True, False]),
                                    f=torch.zeros(0, 4), g=base.bfloat16(), h=torch.tensor(3.0), i=torch.nn.Parameter(base),
                                    j=base.to(torch.uint8), k=base.double())
    state._metadata = {"": {"version": 2}}
    torch.save(state, tmp_path / "x.pt", _use_new_zipfile_serialization=not legacy)
    with open_torch(tmp_path / "x.pt", "file") as file:
        for name, tensor in state.items():
            read = file.load(file.tree[name])
            assert read.is_contiguous()
            assert read.dtype == tensor.dtype
            assert torch.equal(read, tensor)


def test_files_saved_on_a_gpu_or_by_python_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What a GPU writes differs in one thing: the name of the device the numbers lay on.
    tensor, path = torch.randn(3, 4), tmp_path / "x.pt"
    for legacy in (False, True):
        with monkeypatch.context() as patch:
            patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
            torch.save({"a": tensor}, path, _use_new_zipfile_serialization=not legacy)
        assert b"cuda:0" in path.read_bytes()
        with open_torch(path, "file") as file:
            assert torch.equal(file.load(file.tree["a"]), tensor)
    names = {"collections.OrderedDict": TENSOR_NAMES["collections.OrderedDict"]}
    assert restricted_loads(dumps(Call(Name("collections", "OrderedDict"), [["a", 1], ["b", 2]])), names, "x") == {"a": 1, "b": 2}
    with pytest.raises(RigError, match="refused"):
        restricted_loads(dumps(Call(Name("collections", "OrderedDict"), [[("a",), 1]])), names, "x")


def test_damaged_numbers_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"a": torch.arange(1000.0)}, path)
    data = bytearray(path.read_bytes())
    data[data.index(torch.tensor(500.0).numpy().tobytes())] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(RigError, match="do not match their checksum"), open_torch(path, "file") as file:
        file.load(file.tree["a"])
