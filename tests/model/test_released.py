"""State dicts from elsewhere: settings read from shapes, strict transfer."""

import dataclasses

import pytest
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.model.released import infer_config, load_strict

TINY = ModelConfig(image_size=32, num_channels=32, channel_mult="1,1", num_res_blocks=1)


def state_of(config):
    with torch.device("meta"):
        return build_network(config).state_dict()


@pytest.mark.parametrize("config", [
    ModelConfig(image_size=64), ModelConfig(image_size=128), ModelConfig(), ModelConfig(image_size=512),
    ModelConfig(image_size=64, num_res_blocks=1, attention_resolutions="32,16", encoder_type="resnet50"),
    ModelConfig(image_size=64, num_res_blocks=3, learn_sigma=True, latent_dim=32, in_channels=9),
    ModelConfig(image_size=64, resblock_updown=False, use_scale_shift_norm=False, num_channels=64),
    ModelConfig(condition="reference", patch=4, encoder_type="none", attention_resolutions="32,16"),
    ModelConfig(condition="reference", latent_dim=16),
    ModelConfig(patch=2, in_channels=9, learn_sigma=True, attention_resolutions=""),
])
def test_settings_are_read_from_shapes(config):
    assert infer_config(state_of(config)) == config


def test_what_shapes_do_not_show_must_be_given():
    config = dataclasses.replace(TINY, channel_mult="1,2", num_heads=4, dropout=0.0)
    with pytest.raises(RigError, match=r"multipliers 1,2, .*give --image_size"):
        infer_config(state_of(config))
    assert infer_config(state_of(config), image_size=32, num_heads=4, dropout=0.0) == config
    single = dataclasses.replace(TINY, channel_mult="1", attention_resolutions="")
    assert infer_config(state_of(single), image_size=32) == single
    with pytest.raises(RigError, match="does not hold a DiffusionRig network"):
        infer_config({"weight": torch.zeros(1)}, "other.pt")


@pytest.mark.parametrize(("name", "value"), [
    ("image_size", 128), ("num_channels", 64), ("num_res_blocks", 1), ("attention_resolutions", "8"), ("in_channels", 9),
    ("attention_resolutions", ""), ("channel_mult", "1,2,2,4"), ("latent_dim", 32), ("encoder_type", "none"), ("patch", 2),
    ("condition", "reference"), ("learn_sigma", True), ("use_scale_shift_norm", False), ("resblock_updown", False)])
def test_what_contradicts_the_shapes_is_named(name, value):
    config = ModelConfig(image_size=64)
    with pytest.raises(UsageError, match=rf"--{name} {value} contradicts model\.pt, whose tensors have the shapes of "):
        infer_config(state_of(config), "model.pt", **{name: value})
    whole = config.to_dict()
    assert infer_config(state_of(config), "model.pt", **whole) == config


def test_strict_transfer_converts_the_dtype_and_changes_nothing_else():
    source, target = build_network(TINY, 1), build_network(TINY, 2)
    load_strict(target, {name: tensor.half() if tensor.is_floating_point() else tensor
                         for name, tensor in source.state_dict().items()})
    for name, tensor in target.state_dict().items():
        assert tensor.dtype == source.state_dict()[name].dtype
        torch.testing.assert_close(tensor, source.state_dict()[name], atol=1e-3, rtol=1e-3)


def test_every_kind_of_misfit_is_named_and_nothing_is_copied():
    network = build_network(TINY)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    tensors = {name: tensor + 1 for name, tensor in before.items()}
    del tensors["encoder.fc.bias"]
    tensors["ema.decay"] = torch.zeros(1)
    tensors["denoisingUNet.out.2.weight"] = torch.zeros(6, 32, 3, 3)
    with pytest.raises(RigError) as caught:
        load_strict(network, tensors, "model.pt")
    for words in ("model.pt does not fit", "1 missing (encoder.fc.bias)", "1 extra (ema.decay)",
                  "1 misshaped (denoisingUNet.out.2.weight (6, 32, 3, 3) instead of (3, 32, 3, 3))"):
        assert words in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_long_lists_are_cut():
    with pytest.raises(RigError, match=r"and \d+ more\)"):
        load_strict(build_network(TINY), {})


def test_a_tensor_with_an_endless_name_is_told_in_one_sentence():
    network = torch.nn.Linear(1, 1)
    with pytest.raises(RigError, match="does not fit the network: 1 extra") as caught:
        load_strict(network, {**network.state_dict(), "x" * 10_000: torch.zeros(1)}, "a.safetensors")
    assert len(str(caught.value)) < 600
