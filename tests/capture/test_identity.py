"""Identity embeddings: the one that ships, networks of the user's, and what cannot be used."""

import struct

import numpy as np
import pytest
import torch

from diffusionrig.capture.fit.finding import find_face
from diffusionrig.capture.identity.embedding import make_identity
from diffusionrig.capture.identity.onnx_network import PLACES, SIDE, cut_face
from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.geometry.heads import load_head

NOBODY = np.full((64, 64, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def identity():
    return make_identity()


@pytest.fixture(scope="module")
def album():
    """Two people in two photographs each, 96 pixels: pose, light and expression differ."""
    head = load_head()
    people = [sample_person(91, number, head) for number in (0, 0, 1, 1)]
    scenes = [sample_scene(person, 91, index, head, yaw_limit=25) for person, index in zip(people, (0, 1, 0, 1))]
    return render_photographs(people, scenes, head, 96)


def test_photographs_of_one_person_are_more_alike(identity, album):
    rows = identity.embed([*album, NOBODY])
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.tensor([1.0, 1, 1, 1, 0]))
    cosines = rows @ rows.T
    assert min(cosines[0, 1], cosines[2, 3]) > max(cosines[0, 2:4].max(), cosines[1, 2:4].max()) + 0.1
    assert torch.equal(identity.embed([album[2]])[0], rows[2])


def _field(number: int, value: bytes | int) -> bytes:
    """One protobuf field: varint for a number, length-delimited for bytes."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    assert len(value) < 1 << 14
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


def tiny_network() -> bytes:
    """An ONNX file whose network gives the mean of each channel: GlobalAveragePool, Flatten."""
    def tensor(name: str, sides: tuple[int, ...]) -> bytes:
        shape = b"".join(_field(1, _field(1, side)) for side in sides)
        return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))

    def node(kind: str, source: str, target: str) -> bytes:
        return _field(1, source.encode()) + _field(2, target.encode()) + _field(3, target.encode()) + _field(4, kind.encode())

    graph = (_field(1, node("GlobalAveragePool", "x", "m")) + _field(1, node("Flatten", "m", "y")) + _field(2, b"tiny")
             + _field(11, tensor("x", (1, 3, SIDE, SIDE))) + _field(12, tensor("y", (1, 3))))
    return _field(1, 7) + _field(7, graph) + _field(8, _field(2, 11))


def test_an_onnx_network_sees_the_aligned_face(tmp_path, album):
    path = tmp_path / "mean.onnx"
    path.write_bytes(tiny_network())
    scaled, raw = (make_identity(f"{kind}:{path}") for kind in ("onnx", "onnx-raw"))
    face = cut_face(album[0], find_face(album[0], FaceLandmarker()).points68)
    mean = face.reshape(-1, 3).mean(0)
    rows = raw.embed([album[0], NOBODY])
    np.testing.assert_allclose(rows[0], mean / np.linalg.norm(mean), atol=1e-4)
    assert rows[1].abs().max() == 0
    expected = (mean - 127.5) / np.linalg.norm(mean - 127.5)
    np.testing.assert_allclose(scaled.embed([album[0]])[0], expected, atol=1e-4)


def test_the_five_points_land_where_the_networks_expect_them():
    turn = np.array([[0.9, -0.4], [0.4, 0.9]]) * 1.3
    points = np.zeros((68, 2))
    there = PLACES @ turn.T + [30, 12]
    points[36:42], points[42:48], points[30], points[48], points[54] = there
    image = np.zeros((300, 300, 3), np.uint8)
    for number, (x, y) in enumerate(there.round().astype(int)):
        image[y - 2:y + 3, x - 2:x + 3, number % 3] = 255
    cut = cut_face(image, points)
    for number, (x, y) in enumerate(PLACES.round().astype(int)):
        assert cut[y, x, number % 3] > 200


@pytest.mark.parametrize(("name", "kind", "sentence"), [
    ("guess", UsageError, "no identity embedding 'guess'"), ("onnx:", UsageError, "no identity embedding"),
    ("onnx:nowhere.onnx", UsageError, "no ONNX network at nowhere.onnx"),
    ("torchscript:x.pt", UsageError, "no identity embedding")])
def test_what_is_not_there_is_told(name, kind, sentence):
    with pytest.raises(kind, match=sentence):
        make_identity(name)


def test_a_file_that_is_no_network_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_bytes(struct.pack("<I", 7) * 9)
    with pytest.raises(RigError, match="not an ONNX network"):
        make_identity(f"onnx:{path}")


def test_dlib_is_an_extra(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"diffusionrig\[dlib\]"):
        make_identity("dlib")
