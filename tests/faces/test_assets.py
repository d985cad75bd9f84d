"""The shipped model bundle is the published one, and what is read from it is what it holds."""

import hashlib

import numpy as np
import pytest

from diffusionrig.errors import RigError
from diffusionrig.faces.canonical import canonical_face, parse_canonical
from diffusionrig.faces.networks import BUNDLE, CANONICAL, COEFFICIENTS, DETECTOR, MESH, Network, bundle_member
from diffusionrig.io.assets import read_asset

DIGEST = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"


def test_bundle_is_the_published_file():
    data = read_asset(BUNDLE)
    assert len(data) == 3_758_596
    assert hashlib.sha256(data).hexdigest() == DIGEST
    notice = read_asset("face_landmarker.NOTICE.txt").decode()
    assert DIGEST in notice
    assert "Apache License, Version 2.0" in notice


@pytest.mark.parametrize(("name", "shape", "outputs"), [
    (DETECTOR, (1, 128, 128, 3), [(1, 896, 16), (1, 896, 1)]),
    (MESH, (1, 256, 256, 3), [(1, 1, 1, 1434), (1, 1, 1, 1), (1, 1)]),
    (COEFFICIENTS, (1, 146, 2), [(52,)]),
])
def test_networks_have_the_expected_shapes(name, shape, outputs):
    assert [value.shape for value in Network(bundle_member(name))(np.zeros(shape, np.float32))] == outputs


def test_loading_says_nothing_on_standard_error():
    import subprocess
    import sys

    code = ("from diffusionrig.faces.networks import MESH, Network, bundle_member; Network(bundle_member(MESH)); "
            "import os; os.write(2, b'kept')")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).stderr == b"kept"


def test_canonical_face():
    face = canonical_face()
    assert face.vertices.shape == (468, 3)
    assert face.uv.shape == (468, 2)
    assert face.triangles.shape == (898, 3)
    assert face.triangles.min() == 0
    assert face.triangles.max() == 467
    assert 0 <= face.uv.min() <= face.uv.max() <= 1
    # Centimetres; the subject's left eye corner (263) mirrors the right one (33), the chin (152) is lowest.
    assert np.allclose(face.vertices[263], face.vertices[33] * [-1, 1, 1], atol=1e-4)
    assert face.vertices[263, 0] == pytest.approx(4.445859, abs=1e-5)
    assert face.vertices[:, 1].argmin() == 152
    corners = face.vertices[face.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert normals[:, 2].sum() > 0
    with pytest.raises(ValueError, match="read-only"):
        face.vertices[0] = 0


def test_damaged_canonical_face_gets_a_sentence():
    data = bundle_member(CANONICAL)
    for hurt in (b"", data[:100], data[:-700], b"\xff" * 40):
        with pytest.raises(RigError, match="damaged"):
            parse_canonical(hurt)


def test_missing_or_damaged_bundle_gets_a_sentence(monkeypatch):
    bundle_member.cache_clear()
    monkeypatch.setattr("diffusionrig.faces.networks.read_asset", lambda name: b"PK not a zip")
    with pytest.raises(RigError, match="damaged; install diffusionrig again"):
        bundle_member(MESH)
    with pytest.raises(RigError, match=r"nothing\.bin"):
        read_asset("nothing.bin")
