"""DECA as an encoder, at full size with random weights: what it keeps, what it says when there is no face, batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flame_arrays import open_flame
from standins.checkpoints import deca_networks

from diffusionrig.capture.deca.agreement import landmark_error, trust
from diffusionrig.capture.deca.crop import cut, square_of_landmarks, square_of_picture
from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.deca.heads import split
from diffusionrig.capture.deca.published_resize import published_resize
from diffusionrig.capture.encoder import EncoderOptions, StagedEncoder
from diffusionrig.errors import RigError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.camera import image_points, pixels
from diffusionrig.geometry.face_code import FaceCode

States = dict[str, dict[str, torch.Tensor]]
Photographs = tuple[list[np.ndarray], FaceCode]


@pytest.fixture(scope="module")
def states() -> States:
    return deca_networks()


@pytest.fixture(scope="module")
def deca(states: States) -> DecaEncoder:
    return DecaEncoder(open_flame(), states)


@pytest.fixture(scope="module")
def nothing() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def landmarks(image: np.ndarray) -> np.ndarray:
    return FaceLandmarker().detect(image)[0].points68


def test_a_code_is_the_networks_answer_to_the_crop(deca, photographs: Photographs) -> None:
    image = photographs[0][0]
    result = deca.encode([image])
    square = square_of_landmarks(landmarks(image))
    with torch.no_grad():
        expected = split(deca.network(torch.from_numpy(cut(image, square))[None]))
    code = result.code
    assert code.head == deca.head.name == "flame-2020"
    for field, name in (("shape", "shape"), ("albedo", "tex"), ("expression", "exp"), ("pose", "pose"), ("camera", "cam"),
                        ("light", "light")):
        assert torch.equal(getattr(code, field), getattr(expected, name)), field
    assert torch.equal(code.eyes, torch.zeros(1, 6))
    assert torch.equal(code.crop[0], torch.from_numpy(square.transform()).float())
    assert code.frame.tolist() == [[256, 256]]
    assert result.found.tolist() == [True]


def test_a_code_does_not_depend_on_its_batch_by_a_bit(deca, photographs: Photographs, nothing) -> None:
    images = [*photographs[0][:2], nothing, photographs[0][2]]
    together = deca.encode(images).code
    for i, image in enumerate(images):
        alone = deca.encode([image]).code
        for name, tensor in alone.tensors().items():
            assert torch.equal(tensor[0], together.tensors()[name][i]), name


def test_in_groups_as_on_a_graphics_card_codes_agree_to_rounding(states, deca, photographs: Photographs, nothing) -> None:
    grouped = DecaEncoder(deca.head, states)
    grouped.group = 3
    images = [*photographs[0][:2], nothing, photographs[0][2]]
    one_by_one, together = deca.encode(images), grouped.encode(images)
    assert torch.equal(together.found, one_by_one.found)
    for name, tensor in one_by_one.code.tensors().items():
        torch.testing.assert_close(together.code.tensors()[name], tensor, atol=1e-5, rtol=1e-5, msg=name)


def test_preparing_apart_gives_the_same(deca, photographs: Photographs) -> None:
    assert isinstance(deca, StagedEncoder)
    images = photographs[0][:2]
    apart = deca.encode_prepared([deca.prepare(image) for image in images]).code
    for name, tensor in deca.encode(images).code.tensors().items():
        assert torch.equal(tensor, apart.tensors()[name]), name


def test_without_a_face_the_whole_picture_is_encoded_and_marked(deca, nothing) -> None:
    result = deca.encode([nothing])
    assert result.found.tolist() == [False]
    assert result.code.confidence.tolist() == [0]
    assert result.notes == ["No face was found; the whole picture was encoded."]
    with torch.no_grad():
        expected = split(deca.network(torch.from_numpy(cut(nothing, square_of_picture(200, 300)))[None]))
    assert torch.equal(result.code.shape, expected.shape)
    assert result.code.frame.tolist() == [[300, 200]]


def test_the_published_size_is_seen_first(states, deca, photographs: Photographs) -> None:
    image = photographs[0][0]
    published = DecaEncoder(open_flame(), states, options=EncoderOptions.as_published(64))
    small = published_resize(image, 256)  # never less than 256, as much as the pictures have
    assert torch.equal(published.encode([image]).code.shape, deca.encode([small]).code.shape)
    assert not torch.equal(published.encode([image]).code.shape, deca.encode([image]).code.shape)


def test_nothing_in_nothing_out(deca) -> None:
    assert len(deca.encode([]).code) == 0
    assert deca.encode_detail([]).detail.shape == (0, 128)


def test_details_come_with_the_same_code_and_move_the_skin_a_little(deca, photographs: Photographs) -> None:
    images = photographs[0][:2]
    detailed = deca.encode_detail(images)
    assert torch.equal(detailed.capture.code.expression, deca.encode(images).code.expression)
    assert detailed.detail.shape == (2, 128)
    relief = deca.displacements(detailed.capture.code, detailed.detail)
    assert relief.shape == (2, 1, 256, 256)
    assert 0 < relief.abs().max() <= 0.01
    assert not torch.equal(relief[0], relief[1])
    code = detailed.capture.code
    opened = code.replace(pose=code.pose + torch.tensor([0, 0, 0, 0.2, 0, 0]))
    assert not torch.equal(deca.displacements(opened, detailed.detail), relief)


def test_incomplete_weights_are_refused(states) -> None:
    damaged = {**states, "E_flame": {name: tensor for name, tensor in states["E_flame"].items() if name != "layers.2.bias"}}
    with pytest.raises(RigError, match=r"E_flame of data/deca_model.tar .* 1 missing \(layers.2.bias\)"):
        DecaEncoder(open_flame(), damaged, what="data/deca_model.tar")


def test_fan_is_taken_by_name_only(states, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RigError, match=r"fan needs the package face_alignment; .*diffusionrig\[fan\]"):
        DecaEncoder(open_flame(), states, options=EncoderOptions(landmarks="fan"))


def test_trust_falls_when_the_drawn_head_lies_beside_the_face(deca, photographs: Photographs) -> None:
    code = deca.encode(photographs[0][:1]).code
    head = deca.head
    drawn = pixels(image_points(head.landmarks(head.vertices(code), code), code), 256, 256)[0].numpy() - 0.5
    eyes = np.linalg.norm(drawn[36:42].mean(0) - drawn[42:48].mean(0))
    moved = [drawn + np.array([share * eyes, 0], np.float32) for share in (0.0, 0.25, 1.0)]
    error = landmark_error(head, code[[0, 0, 0, 0]], [*moved, None])
    torch.testing.assert_close(error, torch.tensor([0, 0.25, 1.0, 0]), atol=1e-4, rtol=0)
    sure = trust(torch.tensor([0.9, 0.9, 0.9, 0.0]), error)
    torch.testing.assert_close(sure, torch.tensor([0.9, 0.45, 0.9 / 257, 0.0]), atol=2e-3, rtol=0)
