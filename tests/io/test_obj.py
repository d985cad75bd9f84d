"""Meshes on disk, read back by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from diffusionrig.io.obj import write_coloured_obj, write_obj

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1 / 3, 0], [0.12345678, -0.1, 2]])
FACES = np.array([[0, 1, 2], [2, 1, 3]])


def rows(path: Path, word: str) -> list[list[str]]:
    return [line.split()[1:] for line in path.read_text().splitlines() if line.split()[0] == word]


def test_a_textured_mesh_names_its_pictures(tmp_path: Path) -> None:
    path = tmp_path / "mesh_coarse.obj"
    write_obj(path, VERTICES, FACES, np.array([[0, 1], [1, 1], [0, 0]]), np.array([[0, 1, 2], [2, 1, 0]]),
              "mesh_coarse.png", "mesh_coarse_normals.png", decimals=8)
    assert [float(x) for x in rows(path, "v")[3]] == [0.12345678, -0.1, 2]
    assert rows(path, "f") == [["1/1", "2/2", "3/3"], ["3/3", "2/2", "4/1"]]
    assert rows(path, "vt")[0] == ["0.000000", "1.000000"]
    assert rows(path, "mtllib") == [["mesh_coarse.mtl"]]
    material = tmp_path / "mesh_coarse.mtl"
    assert rows(material, "map_Kd") == [["mesh_coarse.png"]]
    assert rows(material, "disp") == [["mesh_coarse_normals.png"]]


def test_without_texture_there_is_no_material(tmp_path: Path) -> None:
    write_obj(tmp_path / "a.obj", VERTICES, FACES, np.array([[0, 1]]), np.zeros((2, 3), int))
    assert [path.name for path in tmp_path.iterdir()] == ["a.obj"]


def test_colours_stand_behind_the_coordinates(tmp_path: Path) -> None:
    path = tmp_path / "dense.obj"
    write_coloured_obj(path, VERTICES, FACES, np.array([[1, 0, 0.5]] * 4), decimals=5)
    assert rows(path, "v")[2] == ["0.00000", "0.33333", "0.00000", "1.0000", "0.0000", "0.5000"]
    assert rows(path, "f") == [["1", "2", "3"], ["3", "2", "4"]]
