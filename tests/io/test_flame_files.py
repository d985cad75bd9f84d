"""FLAME's files in their real formats and sizes, and the sentences for those that are incomplete or of another shape."""

from __future__ import annotations

import io
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from standins.flame_arrays import flame_arrays
from standins.flame_files import chumpy, embedding_arrays, sparse, tensor_call
from standins.mesh import Mesh, make_mesh
from standins.pickles import Instance, Name, dumps, object_npy
from standins.textures import albedo_directions, albedo_mean, rasterise_uv

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.flame_files import (
    read_eyelid,
    read_fixed_displacement,
    read_flame,
    read_landmark_embedding,
    read_mediapipe_embedding,
    read_template_uv,
    read_texture,
    read_texture_data,
)
from diffusionrig.io.pickled_arrays import MODEL_FAMILIES, MODEL_NAMES, as_array
from diffusionrig.io.texture_files import check_texture
from diffusionrig.io.unpickle import restricted_loads

DENSE = np.array([[0, 0, 2.5], [1, 0, 0], [0, 0, -3], [0, 4, 0]])


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return make_mesh()


@pytest.fixture(scope="module")
def arrays(mesh: Mesh) -> dict[str, np.ndarray]:
    return flame_arrays(mesh)


def check_model(path: Path, arrays: dict[str, np.ndarray]) -> None:
    read = read_flame(path)
    assert {name: (array.shape, str(array.dtype)) for name, array in read.items()} == {
        "v_template": ((5023, 3), "float64"), "shapedirs": ((5023, 3, 400), "float64"),
        "posedirs": ((5023, 3, 36), "float64"), "J_regressor": ((5, 5023), "float64"), "weights": ((5023, 5), "float64"),
        "faces": ((9976, 3), "int64"), "parents": ((5,), "int64")}
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"):
        assert np.array_equal(read[name], arrays[name]), name
    assert np.array_equal(read["faces"], arrays["f"])
    assert read["parents"].tolist() == [-1, 0, 1, 1, 1]


def test_flame_2020_of_python_2_with_chumpy(standin_folder: Path, arrays: dict[str, np.ndarray]) -> None:
    data = (standin_folder / "generic_model.pkl").read_bytes()
    for name in (b"chumpy.ch\nCh", b"scipy.sparse.csc\ncsc_matrix", b"copy_reg\n_reconstructor", b"__builtin__\nset",
                 b"numpy.core.multiarray\n_reconstruct"):
        assert name in data
    check_model(standin_folder / "generic_model.pkl", arrays)


def test_the_ordinary_unpickler_finds_the_same_arrays(standin_folder: Path, arrays: dict[str, np.ndarray],
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy.sparse.csc")
    for name in ("chumpy", "chumpy.ch"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["chumpy.ch"].Ch = type("Ch", (), {})
    table = pickle.loads((standin_folder / "generic_model.pkl").read_bytes(), encoding="latin1")
    assert np.array_equal(table["shapedirs"].x, arrays["shapedirs"])
    assert np.array_equal(table["J_regressor"].toarray(), arrays["J_regressor"])
    assert np.array_equal(table["posedirs"], arrays["posedirs"])
    assert table["bs_style"] == "lbs"


def test_flame_2023_with_the_newer_names(standin_optional_folder: Path, arrays: dict[str, np.ndarray]) -> None:
    data = (standin_optional_folder / "flame2023.pkl").read_bytes()
    for name in (b"scipy.sparse._csc\ncsc_matrix", b"numpy._core.multiarray\n_reconstruct"):
        assert name in data
    check_model(standin_optional_folder / "flame2023.pkl", arrays)


def loaded(data: bytes) -> Any:
    return restricted_loads(data, MODEL_NAMES, "x.pkl", MODEL_FAMILIES)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_of_every_protocol(protocol: int) -> None:
    table = {"a": DENSE, "b": np.arange(6, dtype=">i4").reshape(2, 3), "c": np.float32(0.5), "d": np.asfortranarray(DENSE),
             "e": np.array([True, False]), "f": np.zeros((0, 3))}
    read = loaded(pickle.dumps(table, protocol))
    for name, array in table.items():
        assert np.array_equal(as_array(read[name]), array), name


def test_a_file_saved_again_by_todays_scipy_and_numpy() -> None:
    scipy = pytest.importorskip("scipy.sparse")
    for kind in (scipy.csc_matrix, scipy.csc_array):
        for protocol in (2, 4, 5):
            assert np.array_equal(as_array(loaded(pickle.dumps(kind(DENSE), protocol))), DENSE)


@pytest.mark.parametrize("value", [
    chumpy(DENSE), Instance(Name("chumpy.ch", "Ch"), (None, {"x": DENSE})), Instance(Name("chumpy.ch", "Ch"), ({"x": DENSE}, None)),
    Instance(Name("chumpy.reordering", "Select"), {"x": DENSE}), Instance(Name("chumpy.ch_ops", "add"), {"x": chumpy(DENSE)}),
    chumpy(sparse(DENSE)), sparse(DENSE), sparse(DENSE, "scipy.sparse._csc", old=False), sparse(DENSE, shape_key="shape"),
])
def test_what_older_tools_wrapped_around_arrays(value: Instance) -> None:
    for protocol in (2, 4):
        assert np.array_equal(as_array(loaded(dumps(value, protocol))), DENSE)


def test_entries_of_one_place_add_up() -> None:
    matrix = sparse(np.eye(2))
    matrix.state.update(data=np.array([1.0, 2.0, 4.0]), indices=np.array([0, 0, 1], "i4"), indptr=np.array([0, 2, 3], "i4"))
    assert np.array_equal(as_array(loaded(dumps(matrix))), [[3, 0], [0, 4]])


@pytest.mark.parametrize(("change", "words"), [
    ({"indices": np.array([0, 9, 1, 2], "i4")}, "contradict each other"), ({"indptr": np.array([0, 1, 2], "i4")}, "contradict"),
    ({"indptr": np.array([0, 3, 2, 4], "i4")}, "contradict"), ({"data": "x"}, "without its parts"), ({"_shape": (4,)}, "without"),
])
def test_sparse_matrices_that_contradict_themselves(change: dict[str, Any], words: str) -> None:
    matrix = sparse(DENSE)
    matrix.state.update(change)
    with pytest.raises(ValueError, match=words):
        as_array(loaded(dumps(matrix)))


def test_a_chumpy_expression_without_numbers() -> None:
    with pytest.raises(ValueError, match="expression without its numbers"):
        as_array(loaded(dumps(Instance(Name("chumpy.ch_ops", "add"), {"a": DENSE}))))


@pytest.mark.parametrize(("key", "value", "words"), [
    ("v_template", np.zeros((5023, 2)), r"v_template of .* has the shape \(5023, 2\), but numbers of shape \(5023, 3\)"),
    ("shapedirs", chumpy(np.zeros((5023, 3, 10))), r"shapedirs of .* \(5023, 3, 10\), but numbers of shape \(5023, 3, 400\)"),
    ("posedirs", np.zeros((5023, 3, 36), int), "posedirs of .* has the type int64"),
    ("J_regressor", np.zeros((5, 4)), r"J_regressor of .* \(5, 4\), but numbers of shape \(5, 5023\)"),
    ("weights", "none", "weights of .* is not an array of numbers"),
    ("f", np.full((9976, 3), 5023), "f of .* indices from 5023 to 5023, but they must lie below 5023"),
    ("kintree_table", np.array([[0, 0, 0, 1, 1], [0, 1, 2, 3, 4]]), r"joints of .* hang on \[-1, 0, 0, 1, 1\]"),
    ("v_template", np.full((5023, 3), np.nan), "v_template of .* not finite"),
    ("J_regressor", np.full((5, 5023), 1.0), "rows of J_regressor of .* do not sum to 1"),
    ("kintree_table", None, "lacks kintree_table"),
])
def test_one_wrong_array_is_named(tmp_path: Path, key: str, value: Any, words: str) -> None:
    # Small where it can be: only shapes count, and NumPy's broadcasting does not survive pickling.
    table: dict[str, Any] = {"v_template": np.zeros((5023, 3), "f4"), "shapedirs": np.zeros((5023, 3, 400), "f4"),
                             "posedirs": np.zeros((5023, 3, 36), "f4"), "J_regressor": np.full((5, 5023), 1 / 5023),
                             "weights": np.full((5023, 5), 0.2), "f": np.zeros((9976, 3), "u4"),
                             "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]])}
    table[key] = value
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(dumps({name: item for name, item in table.items() if item is not None}))
    with pytest.raises(RigError, match=words) as error:
        read_flame(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_flame, read_landmark_embedding, read_texture, read_template_uv, read_mediapipe_embedding,
                                  read_texture_data, read_eyelid, read_fixed_displacement])
def test_absent_files_and_other_files(tmp_path: Path, read: Any) -> None:
    path = tmp_path / "file"
    with pytest.raises(UsageError, match="There is no"):
        read(path)
    for data in (b"", b"nothing of the kind", b"\x80\x02]."):
        path.write_bytes(data)
        with pytest.raises(RigError) as error:
            read(path)
        assert "\n" not in str(error.value)


def test_landmark_tables(standin_folder: Path, mesh: Mesh) -> None:
    data = (standin_folder / "landmark_embedding.npy").read_bytes()
    for name in (b"torch._utils\n_rebuild_tensor_v2", b"torch.storage\n_load_from_bytes", b"numpy.core.multiarray"):
        assert name in data
    read = read_landmark_embedding(standin_folder / "landmark_embedding.npy")
    wanted = embedding_arrays(mesh)
    for short, shape in (("static", (51,)), ("dynamic", (79, 17)), ("full", (68,))):
        faces, bary = read[f"{short}_faces"], read[f"{short}_bary"]
        assert (faces.shape, faces.dtype, bary.shape, bary.dtype) == (shape, np.int64, (*shape, 3), np.float64)
        assert np.array_equal(faces, wanted[f"{short}_lmk_faces_idx"].reshape(shape))
        assert np.array_equal(bary, wanted[f"{short}_lmk_bary_coords"].reshape(*shape, 3).astype(np.float64))
    assert np.array_equal(read["full_faces"][17:], read["static_faces"])


def test_numpy_reads_the_stand_in_of_the_landmark_tables_too(standin_folder: Path) -> None:
    table = np.load(standin_folder / "landmark_embedding.npy", allow_pickle=True)[()]
    assert torch.equal(table["dynamic_lmk_faces_idx"], torch.from_numpy(read_landmark_embedding(
        standin_folder / "landmark_embedding.npy")["dynamic_faces"]))


@pytest.mark.parametrize(("key", "value", "words"), [
    ("dynamic_lmk_faces_idx", np.zeros((79, 16), int), r"dynamic_lmk_faces_idx of .* \(79, 16\), but whole numbers of"),
    ("dynamic_lmk_bary_coords", tensor_call(torch.zeros(79, 17, 2)), r"dynamic_lmk_bary_coords of .* \(79, 17, 2\), but"),
    ("static_lmk_faces_idx", np.full(51, 9976), "static_lmk_faces_idx of .* below 9976"),
    ("static_lmk_bary_coords", np.full((51, 3), 0.5), "static_lmk_bary_coords of .* do not sum to 1"),
    ("full_lmk_bary_coords", 3, "full_lmk_bary_coords of .* is not an array of numbers"),
])
def test_one_wrong_table_is_named(tmp_path: Path, mesh: Mesh, key: str, value: Any, words: str) -> None:
    holder = np.empty((), object)
    holder[()] = {**embedding_arrays(mesh), key: value}
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(object_npy(dumps(holder, protocol=3)))
    with pytest.raises(RigError, match=words):
        read_landmark_embedding(path)


def test_mediapipe_landmarks(standin_folder: Path, tmp_path: Path) -> None:
    read = read_mediapipe_embedding(standin_folder / "mediapipe_landmark_embedding.npz")
    assert {name: array.shape for name, array in read.items()} == {"lmk_face_idx": (105,), "lmk_b_coords": (105, 3),
                                                                   "landmark_indices": (105,)}
    np.savez(tmp_path / "x.npz", **{**read, "landmark_indices": np.full(105, 478)})
    with pytest.raises(RigError, match=r"landmark_indices of .* below 478"):
        read_mediapipe_embedding(tmp_path / "x.npz")


def test_the_template_gives_texture_coordinates_and_triangles(standin_folder: Path, mesh: Mesh, tmp_path: Path) -> None:
    uv, uv_faces, faces = read_template_uv(standin_folder / "head_template.obj")
    assert np.abs(uv - mesh.uv).max() < 1e-6
    assert np.array_equal(uv_faces, mesh.uv_faces)
    assert np.array_equal(faces, mesh.faces)
    text = (standin_folder / "head_template.obj").read_text()
    lines = text.splitlines()
    some = "\n".join(line for line in lines if not line.startswith("vt 0.5"))
    for change, words in ((text.replace("f 1", "f 6001", 1), "triangles of .* must lie below 5023"),
                          ("\n".join(lines[:-7]), "the triangles of .* are 9969"), (text.replace("/", "//"), "lines 'vt u v'"),
                          (text[:-9], "lines 'vt u v'"), (some, r"texture coordinates of .* of shape \(5118, 2\)")):
        (tmp_path / "head_template.obj").write_text(change)
        with pytest.raises(RigError, match=words):
            read_template_uv(tmp_path / "head_template.obj")


def test_the_first_components_of_both_albedo_spaces(standin_folder: Path, standin_optional_folder: Path, mesh: Mesh) -> None:
    mean, basis = albedo_mean(mesh)[..., ::-1], albedo_directions(mesh)[..., ::-1]
    flame = read_texture(standin_folder / "FLAME_texture.npz")
    assert {name: (array.shape, array.dtype) for name, array in flame.items()} == {
        "mean": ((512, 512, 3), np.float32), "tex_dir": ((512, 512, 3, 50), np.float32)}
    assert np.array_equal(flame["mean"], mean.astype(np.float32))
    assert np.array_equal(flame["tex_dir"][..., :12], np.moveaxis(basis, 0, -1).astype(np.float32))
    assert not flame["tex_dir"][..., 12:].any()
    bfm = read_texture(standin_optional_folder / "FLAME_albedo_from_BFM.npz", 20)
    assert np.array_equal(bfm["MU"], (mean.reshape(-1) / 255).astype(np.float32))
    assert bfm["PC"].shape == (786432, 20)
    assert np.array_equal(bfm["PC"][:, 11], (-basis[0].reshape(-1) / 255).astype(np.float32))


def test_albedo_spaces_of_another_order_or_size(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "FLAME_texture.npz"
    basis, mean = rng.standard_normal((512, 512, 3, 4)).astype(np.float32), rng.random((512, 512, 3))
    np.savez(path, mean=mean, tex_dir=np.asfortranarray(basis))
    assert np.array_equal(read_texture(path, 3)["tex_dir"], basis[..., :3])
    check_texture(path)
    with pytest.raises(RigError, match=r"tex_dir of .* has 4 components, but 50 are needed"):
        read_texture(path)
    np.savez(path, mean=mean, tex_dir=basis[:256])
    for read in (check_texture, lambda file: read_texture(file, 3)):
        with pytest.raises(RigError, match=r"tex_dir of .* \(256, 512, 3, 4\), but numbers of shape \(512, 512, 3, n\)"):
            read(path)
    basis[0, 0, 0, 0] = np.inf
    np.savez(path, mean=mean, tex_dir=basis)
    with pytest.raises(RigError, match=r"tex_dir of .* not finite"):
        read_texture(path, 3)


def test_the_dense_grid(standin_folder: Path, mesh: Mesh, tmp_path: Path) -> None:
    read = read_texture_data(standin_folder / "texture_data_256.npy")
    faces, barys = rasterise_uv(mesh)
    x, y = np.divmod(read["valid_pixel_ids"], 256)
    assert np.array_equal(read["valid_pixel_3d_faces"], mesh.faces[faces[y, x]])
    assert np.array_equal(read["valid_pixel_b_coords"], barys[y, x])
    assert np.array_equal(read["x_coords"][read["valid_pixel_ids"]], x + 0.5)
    holder = np.empty((), object)
    holder[()] = {**read, "valid_pixel_b_coords": read["valid_pixel_b_coords"][:-1]}
    path = tmp_path / "texture_data_256.npy"
    path.write_bytes(object_npy(dumps(holder)))
    with pytest.raises(RigError, match=r"tables of valid pixels of .* differ in length"):
        read_texture_data(path)


def test_offsets_and_displacement(standin_folder: Path, tmp_path: Path) -> None:
    left, right = (read_eyelid(standin_folder / f"{side}_eyelid.npy") for side in "lr")
    template = read_flame(standin_folder / "generic_model.pkl")["v_template"]
    assert template[np.abs(left).max(1) > 0][:, 0].min() > 0
    assert template[np.abs(right).max(1) > 0][:, 0].max() < 0
    assert 1e-4 < np.abs(read_fixed_displacement(standin_folder / "fixed_displacement_256.npy")).max() < 2e-3
    np.save(tmp_path / "l_eyelid.npy", np.zeros((5023, 2)))
    with pytest.raises(RigError, match=r"has the shape \(5023, 2\), but numbers of shape \(5023, 3\)"):
        read_eyelid(tmp_path / "l_eyelid.npy")
    stream = io.BytesIO()
    np.save(stream, np.zeros((256, 256)))
    (tmp_path / "d.npy").write_bytes(stream.getvalue()[:-9])
    with pytest.raises(RigError, match="cut off"):
        read_fixed_displacement(tmp_path / "d.npy")
