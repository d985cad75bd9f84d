"""EMOCA as an encoder at full size with random weights: DECA's codes but for what its own network says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from flame_arrays import open_flame
from standins.checkpoints import deca_networks, face_encoder

from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.emoca.encoder import EmocaEncoder, background_called, model_settings
from diffusionrig.capture.emoca.layout import HEAD_FLAG, JAW_FLAG
from diffusionrig.capture.encoder import StagedEncoder
from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode

States = dict[str, dict[str, torch.Tensor]]
Photographs = tuple[list[np.ndarray], FaceCode]

V2 = {"coarse": {}, "detail": {"data": {}, "model": {JAW_FLAG: True, HEAD_FLAG: False, "use_texture": False,
                                                    "detail_conditioning": ["jawpose", "expression", "detail"]}}}


@pytest.fixture(scope="module")
def states() -> States:
    return {**deca_networks(), "E_expression": face_encoder(torch.Generator().manual_seed(1), 53)}


def emoca(states: States, settings: dict[str, Any]) -> EmocaEncoder:
    return EmocaEncoder(open_flame(), states, settings, model="EMOCA_v2_lr_mse_20", what="emoca/EMOCA_v2_lr_mse_20")


@pytest.fixture(scope="module")
def encoder(states: States) -> EmocaEncoder:
    return emoca(states, V2)


@pytest.fixture(scope="module")
def deca(states: States) -> DecaEncoder:
    return DecaEncoder(open_flame(), states)


def test_expression_and_jaw_are_its_own_and_all_else_is_decas(encoder, deca, photographs: Photographs) -> None:
    images = photographs[0][:2]
    own, decas = encoder.encode(images).code, deca.encode(images).code
    for name in ("shape", "albedo", "camera", "light", "crop", "frame", "eyes"):
        assert torch.equal(getattr(own, name), getattr(decas, name)), name
    assert torch.equal(own.pose[:, :3], decas.pose[:, :3])
    with torch.no_grad():
        said = torch.cat([encoder.expression(torch.from_numpy(encoder.prepare(image).crop)[None]) for image in images])
    assert torch.equal(own.expression, said[:, :50])
    assert torch.equal(own.pose[:, 3:], said[:, 50:])
    assert not torch.equal(own.expression, decas.expression)


def test_fifty_three_outputs_may_be_the_heads_rotation(states, deca, photographs: Photographs) -> None:
    turned = emoca(states, {JAW_FLAG: False, HEAD_FLAG: True})
    image = photographs[0][0]
    own, decas = turned.encode([image]).code, deca.encode([image]).code
    assert torch.equal(own.pose[:, 3:], decas.pose[:, 3:])
    with torch.no_grad():
        said = turned.expression(torch.from_numpy(turned.prepare(image).crop)[None])
    assert torch.equal(own.pose[:, :3], said[:, 50:])


def test_it_prepares_images_apart_and_batches_do_not_matter(encoder, photographs: Photographs) -> None:
    assert isinstance(encoder, StagedEncoder)
    images = photographs[0][:3]
    together = encoder.encode_prepared([encoder.prepare(image) for image in images]).code
    for i, image in enumerate(images):
        for name, tensor in encoder.encode([image]).code.tensors().items():
            assert torch.equal(tensor[0], together.tensors()[name][i]), name


@pytest.mark.parametrize(("change", "settings", "words"), [
    ({"layers.2.bias": None}, V2, r"E_expression of emoca/EMOCA_v2_lr_mse_20 .* 1 missing \(layers.2.bias\)"),
    ({"extra": torch.zeros(1)}, V2, r"1 extra \(extra\)"),
    ({"encoder.conv1.weight": torch.zeros(64, 3, 3, 3)}, V2, "1 misshaped"),
    ({"layers.2.weight": torch.zeros(236, 1024)}, V2, "236 outputs, where 50, 53 or 56 are known"),
    ({"layers.2.weight": None}, V2, "0 outputs"),
    ({}, {}, "exactly one must be true"),
    ({}, {JAW_FLAG: True, "detail_conditioning": ["identity", "detail"]}, "driven by identity, detail"),
])
def test_weights_that_do_not_fit_are_one_sentence(states, change: dict, settings: dict, words: str) -> None:
    tensors = {name: tensor for name, tensor in {**states["E_expression"], **change}.items() if tensor is not None}
    with pytest.raises(RigError, match=words):
        emoca({**states, "E_expression": tensors}, settings)


def test_the_section_of_the_detail_stage_is_the_one_that_counts() -> None:
    assert model_settings({"coarse": {"model": {"a": 1}}, "detail": {"model": {"a": 2}}}) == {"a": 2}
    assert model_settings({"model": {"a": 3}}) == {"a": 3}
    assert model_settings({"a": 4}) == {"a": 4}


@pytest.mark.parametrize(("value", "expected"), [(True, "input"), (False, "black"), ("none", "none"), ("black", "black")])
def test_the_background_of_its_pictures_is_its_own(value: object, expected: str) -> None:
    assert background_called(value) == expected
