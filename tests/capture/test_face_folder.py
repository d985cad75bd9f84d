"""What is written per face: the published names, sizes and quantisation, and what a picture needs besides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from flame_arrays import open_flame
from PIL import Image
from standins.checkpoints import deca_networks, face_encoder

from diffusionrig.capture.deca.encoder import DecaEncoder
from diffusionrig.capture.emoca.encoder import EmocaEncoder
from diffusionrig.capture.face_folder import quantised, write_codes, write_meshes, write_pictures
from diffusionrig.capture.study import FACE_MASK, FIXED, Atlas, FaceRecord, Study, load_atlas, record_face, study_faces
from diffusionrig.errors import RigError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.images import write_png
from diffusionrig.render.face_views import crop_code
from diffusionrig.render.physical import render_buffers

States = dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def states() -> States:
    return {**deca_networks(), "E_expression": face_encoder(torch.Generator().manual_seed(1), 50)}


@pytest.fixture(scope="module")
def emoca(states: States) -> EmocaEncoder:
    return EmocaEncoder(open_flame(), states, {"use_texture": False})


@pytest.fixture(scope="module")
def atlas(tmp_path_factory: pytest.TempPathFactory) -> Atlas:
    folder = tmp_path_factory.mktemp("maps")
    draw = np.random.default_rng(0)
    mask = np.zeros((256, 256, 4), np.uint8)
    mask[40:200, 40:210, :3] = draw.integers(100, 256, (160, 170, 1))
    mask[..., 3] = 255
    write_png(folder / FACE_MASK, mask)
    write_npy(folder / FIXED, draw.normal(0, 3e-4, (256, 256)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFUSIONRIG_DATA", str(folder))
        found = load_atlas(open_flame())
    assert torch.equal(found.face_mask, torch.from_numpy(mask[..., 0] / np.float32(255)))
    assert found.missing == ()
    return found


@pytest.fixture(scope="module")
def face(emoca: EmocaEncoder, photographs: tuple[list[np.ndarray], FaceCode]) -> tuple[FaceCode, Study]:
    prepared = [emoca.prepare(photographs[0][1])]
    code = emoca.encode_prepared(prepared).code
    return code, study_faces(emoca, prepared, code)


@pytest.fixture(scope="module")
def record(emoca: EmocaEncoder, atlas: Atlas, face: tuple[FaceCode, Study]) -> FaceRecord:
    return record_face(emoca, open_flame(), atlas, *face)


def test_pictures_are_cut_down_to_bytes_not_rounded() -> None:
    values = torch.tensor([-0.2, 0.0, 0.9999 / 255, 1 / 255, 0.5, 254.99 / 255, 1.0, 3.0])
    expected = np.clip(values.numpy() * 255, 0, 255).astype(np.uint8)
    assert expected.tolist() == [0, 0, 0, 1, 127, 254, 255, 255]
    assert quantised(values.expand(3, 1, -1))[0, :, 2].tolist() == expected.tolist()


def test_codes_are_the_published_arrays_and_the_ones_left_out(face: tuple[FaceCode, Study], tmp_path: Path) -> None:
    code, study = face
    write_codes(tmp_path, code, study)
    shapes = {path.stem: np.load(path).shape for path in tmp_path.iterdir()}
    assert shapes == {"shape": (100,), "exp": (50,), "tex": (50,), "pose": (6,), "detail": (128,), "cam": (3,),
                      "light": (9, 3), "crop": (3, 3)}
    assert {np.load(path).dtype for path in tmp_path.iterdir()} == {np.dtype(np.float32)}
    assert (np.load(tmp_path / "exp.npy") == code.expression[0].numpy()).all()
    assert study.detail is not None
    assert (np.load(tmp_path / "detail.npy") == study.detail[0].numpy()).all()


def test_pictures_of_the_crop(face: tuple[FaceCode, Study], record: FaceRecord, tmp_path: Path) -> None:
    code, study = face
    write_pictures(tmp_path, record, study)
    pictures = {path.stem: np.asarray(Image.open(path)) for path in tmp_path.iterdir()}
    assert set(pictures) == {"inputs", "geometry_coarse", "geometry_detail", "out_im_coarse", "out_im_detail"}
    assert {picture.shape for picture in pictures.values()} == {(224, 224, 3)}
    crop = study.crops[0].permute(1, 2, 0).numpy()
    assert (pictures["inputs"] == (crop * 255).astype(np.uint8)).all()
    # The release has no texture space: a grey head, lit by the code's light, over the photograph.
    buffers = render_buffers(open_flame(), crop_code(code), 224)
    grey = 0.5 * buffers.rendered / buffers.albedo.where(buffers.albedo != 0, torch.ones(()))
    face_part = record.views.face
    expected = ((1 - face_part) * study.crops + face_part * grey)[0].permute(1, 2, 0).numpy()
    wrong = np.abs(pictures["out_im_coarse"].astype(int) - (np.clip(expected * 255, 0, 255)).astype(np.uint8)) > 1
    assert wrong.mean() < 1e-3
    outside = face_part[0, 0].numpy() == 0
    for name in ("out_im_coarse", "out_im_detail"):
        assert (pictures[name][outside] == pictures["inputs"][outside]).all()
    assert (pictures["geometry_coarse"][buffers.alpha[0, 0].numpy() == 0] == 0).all()
    assert (pictures["geometry_coarse"] != pictures["geometry_detail"]).any()


def test_a_release_with_texture_and_deca_are_coloured(states: States, atlas: Atlas, face: tuple[FaceCode, Study],
                                                      record: FaceRecord) -> None:
    head, (code, study) = open_flame(), face
    for encoder in (EmocaEncoder(head, states, {"use_texture": True}), DecaEncoder(head, states)):
        coloured = record_face(encoder, head, atlas, code, study).views
        torch.testing.assert_close(coloured.overlay, (1 - coloured.face) * study.crops + coloured.face
                                   * render_buffers(head, crop_code(code), 224).rendered, atol=1e-5, rtol=0)
        assert torch.equal(coloured.shape, record.views.shape)


def test_meshes_have_uvs_texture_relief_and_wrinkles(atlas: Atlas, record: FaceRecord, tmp_path: Path) -> None:
    head = open_flame()
    write_meshes(tmp_path, head, atlas, record)
    assert {path.name for path in tmp_path.iterdir()} == {"mesh_coarse.obj", "mesh_coarse.mtl", "mesh_coarse.png",
                                                         "mesh_coarse_normals.png", "mesh_coarse_detail.obj"}
    lines = (tmp_path / "mesh_coarse.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], np.float64)
    np.testing.assert_allclose(vertices, record.vertices.double().numpy(), atol=6e-9)
    assert sum(line.startswith("vt ") for line in lines) == len(head.uv)
    assert sum(line.startswith("f ") for line in lines) == len(head.faces)
    texture = np.asarray(Image.open(tmp_path / "mesh_coarse.png"))
    assert texture.shape == (256, 256, 3)
    covered = atlas.texels.face[0] >= 0
    dense = [line.split() for line in (tmp_path / "mesh_coarse_detail.obj").read_text().splitlines()]
    points = np.array([row[1:] for row in dense if row[0] == "v"], np.float64)
    assert len(points) == int(covered.sum())
    column, row = covered.T.nonzero()[1000].tolist()
    np.testing.assert_allclose(points[1000, 3:], texture[row, column] / 255, atol=1e-4)
    # Each vertex lies off the coarse surface by the whole displacement, also outside the face.
    assert record.displacement is not None
    from diffusionrig.render.dense_mesh import dense_mesh

    flat = dense_mesh(head, record.vertices, torch.zeros(256, 256), atlas.texels).vertices.double().numpy()
    np.testing.assert_allclose(np.linalg.norm(points[:, :3] - flat, axis=1), record.displacement.abs().T[covered.T].numpy(),
                               atol=2e-7)


def test_coarse_leaves_out_what_the_detail_networks_say(emoca: EmocaEncoder, atlas: Atlas, tmp_path: Path,
                                                        photographs: tuple[list[np.ndarray], FaceCode]) -> None:
    head, prepared = open_flame(), [emoca.prepare(photographs[0][1])]
    code = emoca.encode_prepared(prepared).code
    study = study_faces(emoca, prepared, code, detail=False)
    record = record_face(emoca, head, atlas, code, study)
    write_codes(tmp_path, code, study)
    write_pictures(tmp_path, record, study)
    write_meshes(tmp_path, head, atlas, record)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"exp.npy", "geometry_coarse.png", "out_im_coarse.png", "mesh_coarse.obj"} <= names
    assert not names & {"detail.npy", "geometry_detail.png", "out_im_detail.png", "mesh_coarse_detail.obj",
                        "mesh_coarse_normals.png"}
    assert "disp" not in (tmp_path / "mesh_coarse.mtl").read_text()


def test_maps_that_are_not_there_or_misshapen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))
    plain = load_atlas(open_flame())
    assert plain.missing == (FACE_MASK, FIXED)
    assert (plain.face_mask == 1).all()
    assert (plain.fixed == 0).all()
    write_npy(tmp_path / FIXED, np.zeros((128, 256)))
    with pytest.raises(RigError, match=r"fixed_displacement_256.npy .*256"):
        load_atlas(open_flame())
    write_npy(tmp_path / FIXED, np.zeros((256, 256)))
    write_png(tmp_path / FACE_MASK, np.zeros((256, 128, 3), np.uint8))
    with pytest.raises(RigError, match="has 128 x 256 pixels, where 256 x 256 are needed"):
        load_atlas(open_flame())
