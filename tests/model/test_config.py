"""Settings: defaults, refusals in one sentence, and the round trip through a dict."""

import dataclasses

import pytest

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.errors import UsageError
from diffusionrig.model.config import ModelConfig


@pytest.mark.parametrize("kind", [ModelConfig, DiffusionConfig])
def test_every_setting_has_help_and_survives_a_dict(kind):
    for field in dataclasses.fields(kind):
        assert len(field.metadata["help"]) > 10, field.name
    assert kind.from_dict(kind().to_dict()) == kind()
    with pytest.raises(UsageError, match=r"model\.json has settings .* does not know: colour, tempo"):
        kind.from_dict({"tempo": 1, "colour": 2}, "model.json")


def test_round_trip_keeps_changes_and_checks_types():
    config = ModelConfig(image_size=64, channel_mult="0.5,1,1,2", num_channels=64, dropout=0.0)
    assert ModelConfig.from_dict(config.to_dict()) == config
    assert ModelConfig.from_dict({"dropout": 0}).dropout == 0.0
    for values in ({"image_size": "64"}, {"image_size": True}, {"learn_sigma": 1}, {"dropout": None}):
        with pytest.raises(UsageError, match="must be of type"):
            ModelConfig.from_dict(values)


def test_channel_plan():
    assert ModelConfig(image_size=512).level_channels == (64, 128, 128, 256, 256, 512, 512)
    assert ModelConfig(image_size=64, channel_mult=" 0.5, 1,1,2").level_channels == (64, 128, 128, 256)
    assert ModelConfig(image_size=256).attention_factors == {16}
    assert ModelConfig(image_size=64, attention_resolutions="16,8").attention_factors == {4, 8}
    assert ModelConfig(image_size=64, attention_resolutions="").attention_factors == frozenset()


@pytest.mark.parametrize(("settings", "words"), [
    ({"image_size": 96}, "--image_size 96 .*--channel_mult"),
    ({"image_size": 66, "channel_mult": "1,2,3"}, "multiple of 4"),
    ({"num_channels": 48}, "48 channels, which is not a multiple of 32"),
    ({"num_channels": 32, "channel_mult": "0.5,1"}, "multiplier 0.5 gives 16"),
    ({"num_channels": 32, "norm_groups": 24}, "not a multiple of 24"),
    ({"norm_groups": 0}, "--norm_groups must be 1 or more"),
    ({"channel_mult": "1,two"}, "--channel_mult '1,two'"),
    ({"channel_mult": "1,nan"}, "numbers above zero"),
    ({"channel_mult": "1,-2"}, "numbers above zero"),
    ({"attention_resolutions": "16;8"}, "--attention_resolutions"),
    ({"attention_resolutions": "0"}, "--attention_resolutions"),
    ({"num_heads": 3}, "--num_heads 3 does not divide"),
    ({"num_heads_upsample": 5}, "--num_heads_upsample 5 does not divide"),
    ({"num_head_channels": 100}, "--num_head_channels 100 does not divide"),
    ({"num_heads_upsample": 0}, "--num_heads_upsample"),
    ({"num_res_blocks": 0}, "--num_res_blocks"),
    ({"dropout": 1.0}, "--dropout"),
    ({"in_channels": 3}, "--in_channels"),
    ({"image_size": 32, "num_channels": 32, "channel_mult": "1,1", "use_scale_shift_norm": False}, "one channel"),
    ({"encoder_type": "vgg"}, "resnet18 or resnet50"),
])
def test_wrong_model_settings_are_refused(settings, words):
    with pytest.raises(UsageError, match=words) as caught:
        ModelConfig(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("settings", "words"), [
    ({"noise_schedule": "sigmoid"}, "linear or cosine"),
    ({"diffusion_steps": 20}, "--diffusion_steps 20"),
    ({"p2_k": 0.0}, "--p2_k"),
    ({"p2_gamma": -1.0}, "--p2_gamma|--p2_k"),
    ({"use_kl": True, "p2_weight": True}, "exclude each other"),
    ({"predict_v": True, "predict_xstart": True}, "exclude each other"),
])
def test_wrong_diffusion_settings_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        DiffusionConfig(**settings)
