"""Random people from MakeHuman's macro and detail targets, and the linear identity space fitted to them."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np

from .source import load_json, load_target

GENDERS = ("female", "male")
AGES = {"child": 1 / 3, "young": 2 / 3, "old": 1.0}
RACES = ("african", "asian", "caucasian")
MUSCLES = {"minmuscle": 0.0, "averagemuscle": 0.5, "maxmuscle": 1.0}
WEIGHTS = {"minweight": 0.0, "averageweight": 0.5, "maxweight": 1.0}
HEIGHTS = {"minheight": 0.0, "maxheight": 1.0}
PROPORTIONS = {"idealproportions": 0.0, "uncommonproportions": 1.0}
LEFT_OUT = ("head-trans", "neck-trans", "head-angle", "measure", "torso")
"""Detail targets that move the head rather than shape it."""

DETAIL_SIGMA, ASYMMETRY_SIGMA = 0.25, 0.03


@dataclasses.dataclass
class Targets:
    """Rows of displacements (K, N, 3) over chosen vertices: macro rows by label, details as (positive, negative)."""

    macro_labels: list[tuple[str, ...]]
    macro: np.ndarray
    detail_labels: list[str]
    detail: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """(K_macro + 2 K_detail, N, 3) in the order of the weights."""
        return np.concatenate([self.macro, self.detail.reshape(-1, *self.detail.shape[2:])])


def _macro_files(folder: Path) -> dict[tuple[str, ...], Path]:
    files: dict[tuple[str, ...], Path] = {}
    for gender, age in itertools.product(GENDERS, AGES):
        for race in RACES:
            files[race, gender, age] = folder / f"{race}-{gender}-{age}.target.gz"
        for muscle, weight in itertools.product(MUSCLES, WEIGHTS):
            who = f"{gender}-{age}-{muscle}-{weight}"
            files[gender, age, muscle, weight] = folder / f"universal-{who}.target.gz"
            for height in HEIGHTS:
                files[gender, age, muscle, weight, height] = folder / f"height/{who}-{height}.target.gz"
            for proportion in PROPORTIONS:
                files[gender, age, muscle, weight, proportion] = folder / f"proportions/{who}-{proportion}.target.gz"
    return files


def _detail_files(folder: Path) -> dict[str, tuple[Path, Path]]:
    files = {}
    for key, entry in load_json(folder / "target.json").items():
        for category in entry["categories"] if key != "genitals" else ():
            opposites = category.get("opposites", {})
            for side in ("left", "right", "unsided"):
                positive, negative = opposites.get(f"positive-{side}"), opposites.get(f"negative-{side}")
                if positive and negative and not _bare(positive).startswith(LEFT_OUT):
                    files[positive] = tuple(folder / key / f"{name}.target.gz" for name in (positive, negative))
    return files


def _bare(label: str) -> str:
    return label[2:] if label[:2] in {"l-", "r-"} else label


def load_targets(data: Path, count: int, vertices: np.ndarray, deforming: np.ndarray) -> Targets:
    """Targets over ``vertices`` (indices of the body); details are kept when they deform the ``deforming`` subset."""
    folder = data / "mpfb2/targets"
    macro = {label: load_target(path, count)[vertices] for label, path in _macro_files(folder / "macrodetails").items()}
    detail = {}
    for label, paths in _detail_files(folder).items():
        pair = np.stack([load_target(path, count)[vertices] for path in paths])
        # A shift of the whole head is no change of shape.
        if np.abs(pair[:, deforming] - pair[:, deforming].mean(1, keepdims=True)).max() > 1e-4:
            detail[label] = pair
    return Targets(list(macro), np.stack(list(macro.values())), list(detail), np.stack(list(detail.values())))


def _between(value: np.ndarray, anchors: dict[str, float]) -> dict[str, np.ndarray]:
    """Piecewise linear interpolation weights of each anchor."""
    points = np.array(list(anchors.values()))
    return {name: np.interp(value, points, row) for name, row in zip(anchors, np.eye(len(points)))}


def sample_people(targets: Targets, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, K_macro + 2 K_detail) target weights of random adults; details of the right side follow the left's."""
    gender = rng.beta(0.35, 0.35, count)
    race = rng.dirichlet([0.5, 0.5, 0.5], count)
    factors = {"female": 1 - gender, "male": gender, **{name: race[:, i] for i, name in enumerate(RACES)}}
    factors |= _between(rng.uniform(0.62, 1, count), AGES)
    factors |= _between(rng.uniform(0.15, 0.85, count), MUSCLES)
    factors |= _between(rng.uniform(0.15, 0.85, count), WEIGHTS)
    factors |= _between(rng.uniform(0.2, 0.8, count), HEIGHTS)
    factors |= _between(rng.uniform(0, 1, count), PROPORTIONS)
    macro = np.stack([np.prod([factors[name] for name in label], 0) for label in targets.macro_labels], 1)
    drawn: dict[str, np.ndarray] = {}
    for label in targets.detail_labels:
        twin = drawn.get(("l-" if label.startswith("r-") else "r-") + _bare(label))
        if label[:2] in {"l-", "r-"} and twin is not None:
            drawn[label] = twin + ASYMMETRY_SIGMA * rng.standard_normal(count)
        else:
            drawn[label] = DETAIL_SIGMA * rng.standard_normal(count)
    detail = np.stack([np.stack([np.maximum(drawn[k], 0), np.maximum(-drawn[k], 0)], 1) for k in targets.detail_labels], 1)
    return np.concatenate([macro, np.clip(detail, 0, 1).reshape(count, -1)], 1)


@dataclasses.dataclass
class IdentitySpace:
    """mean (N, 3), basis (n, N, 3) scaled to unit-normal coefficients, explained share of the variance."""

    mean: np.ndarray
    basis: np.ndarray
    explained: float


def fit_identity(base: np.ndarray, rows: np.ndarray, weights: np.ndarray, mirror: np.ndarray, fitted: np.ndarray,
                 components: int) -> IdentitySpace:
    """Principal components of the people ``base + weights @ rows`` together with their mirror images.

    base (N, 3) symmetric, rows (K, N, 3), weights (B, K), mirror (N,). People are linear in K rows, so the components are found in
    the space of weights: far smaller than that of vertices. With the mirror images the mean is exactly symmetric and each
    component exactly symmetric or antisymmetric, so both halves are decomposed by themselves. Only the ``fitted``
    vertices (the mesh) weigh; the others (joint helpers) follow by regression, exact for uncorrelated coefficients.
    """
    flip = np.array([-1.0, 1.0, 1.0])
    mirrored = rows[:, mirror] * flip
    even, odd = (rows + mirrored) / 2, (rows - mirrored) / 2
    mean = base + np.tensordot(weights.mean(0), even, 1)
    found, total = [], 0.0
    for part, centred in ((even, weights - weights.mean(0)), (odd, weights)):
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        root = (vectors * np.sqrt(np.maximum(values, 0))).T
        spread = root @ part[:, fitted].reshape(len(part), -1)
        variance, turned = np.linalg.eigh(spread @ spread.T)
        order = np.argsort(variance)[::-1][:components]
        basis = np.tensordot(turned[:, order].T @ root, part, 1)
        found += list(zip(variance[order], basis))
        total += variance.sum()
    found.sort(key=lambda pair: -pair[0])
    chosen = np.stack([row for _, row in found[:components]])
    flat = chosen[:, fitted].reshape(components, -1)
    sign = np.sign(flat[np.arange(components), np.abs(flat).argmax(1)])
    return IdentitySpace(mean, chosen * sign[:, None, None], sum(value for value, _ in found[:components]) / total)
