"""Personal shifts of weight matrices: a batch of people, each with shifts of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn


class Shift(Protocol):
    """dW (G, out, in) of G people, or of one for all of a batch."""

    def rows(self, first: int, last: int) -> Shift:
        """The shift of the output rows ``first`` to ``last``."""

    def __call__(self, x: Tensor) -> Tensor:
        """x (G, n, in) -> x dW^T (G, n, out)."""

    def dense(self) -> Tensor:
        """dW itself."""


@dataclasses.dataclass(frozen=True)
class FullShift:
    """``delta`` (G, out, in)."""

    delta: Tensor

    def rows(self, first: int, last: int) -> FullShift:
        return FullShift(self.delta[:, first:last])

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.delta.mT

    def dense(self) -> Tensor:
        return self.delta


@dataclasses.dataclass(frozen=True)
class LowRankShift:
    """dW = up down^T of ``up`` (G, out, r) and ``down`` (G, in, r); never formed."""

    up: Tensor
    down: Tensor

    def rows(self, first: int, last: int) -> LowRankShift:
        return LowRankShift(self.up[:, first:last], self.down)

    def __call__(self, x: Tensor) -> Tensor:
        return (x @ self.down) @ self.up.mT

    def dense(self) -> Tensor:
        return self.up @ self.down.mT


Shifts = Mapping[str, Shift]


class _Shared(nn.Module):
    """Code (G, D) -> (G, hidden), ReLU after each layer."""

    def __init__(self, code: int, hidden: int, shared: int) -> None:
        super().__init__()
        self.shared_layers = nn.ModuleList([nn.Linear(code if index == 0 else hidden, hidden) for index in range(shared)])

    def trunk(self, code: Tensor) -> Tensor:
        for layer in self.shared_layers:
            code = layer(code).relu()
        return code


class FullShifts(_Shared):
    """One linear branch for every weight of every edited matrix, as published: 1,627 million parameters at the published sizes.
    Shifts are not zero at the start."""

    def __init__(self, code: int, hidden: int, shared: int, shapes: Mapping[str, tuple[int, int]]) -> None:
        super().__init__(code, hidden, shared)
        self.shapes = dict(shapes)
        self.branches = nn.ModuleList([nn.Linear(hidden, rows * columns) for rows, columns in shapes.values()])

    def forward(self, code: Tensor) -> dict[str, Shift]:
        inner = self.trunk(code)
        return {name: FullShift(branch(inner).unflatten(1, shape))
                for (name, shape), branch in zip(self.shapes.items(), self.branches)}


class LowRankShifts(_Shared):
    """Two thin factors for each edited matrix; the left one is zero at the start, so that training begins at the generator."""

    def __init__(self, code: int, hidden: int, shared: int, shapes: Mapping[str, tuple[int, int]], rank: int) -> None:
        super().__init__(code, hidden, shared)
        self.shapes, self.rank = dict(shapes), rank
        self.up = nn.ModuleList([nn.Linear(hidden, rows * rank) for rows, _ in shapes.values()])
        self.down = nn.ModuleList([nn.Linear(hidden, columns * rank) for _, columns in shapes.values()])
        for branch, (_, columns) in zip(self.down, shapes.values()):
            assert isinstance(branch, nn.Linear)
            nn.init.normal_(branch.bias, std=columns ** -0.5)
        for branch in self.up:
            assert isinstance(branch, nn.Linear)
            nn.init.zeros_(branch.weight)
            nn.init.zeros_(branch.bias)

    def forward(self, code: Tensor) -> dict[str, Shift]:
        inner = self.trunk(code)
        return {name: LowRankShift(up(inner).unflatten(1, (rows, self.rank)), down(inner).unflatten(1, (columns, self.rank)))
                for (name, (rows, columns)), up, down in zip(self.shapes.items(), self.up, self.down)}


def mean_square(shifts: Shifts) -> Tensor:
    """Mean square of all shifts' entries, averaged over the edited matrices."""
    return torch.stack([shift.dense().square().mean() for shift in shifts.values()]).mean()
