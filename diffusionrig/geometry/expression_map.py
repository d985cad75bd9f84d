"""The 52 actions of ARKit as FLAME's expression and jaw: what lets one vocabulary drive either head."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from diffusionrig.errors import RigError
from diffusionrig.geometry.arkit import ARKIT_NAMES
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.array_files import read_array_file
from diffusionrig.io.assets import user_assets

WEIGHT_SPREAD = 0.3
"""Of the weight of an action that a face is thought to show, where nothing is known."""

SEEN_ERROR = 1e-4
"""Metres, root mean square over the face, to which the actions shown are expected to explain an expression."""

_STEPS = 400


@dataclasses.dataclass(frozen=True)
class ExpressionMap:
    """Linear map from ARKit weights to a head's expression and jaw; CPU, double precision.

    actions  (52, E + 3)     expression coefficients and jaw rotation (axis-angle, radians) of each action at weight 1
    metric   (E + 3, E + 3)  square of the displacement they make, averaged over the face, metres squared
    moved    (52,)           root mean square displacement of each action on the guide, over the face, metres
    missed   (52,)           the same of what the head leaves of it
    head     hash of the head it was fitted for
    """

    actions: Tensor
    metric: Tensor
    moved: Tensor
    missed: Tensor
    head: str

    def apply(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """ARKit weights (B, 52), in the order of ARKIT_NAMES -> expression (B, E) and jaw (B, 3). Linear, not clamped."""
        both = weights @ self.actions.to(weights)
        return both[:, :-3], both[:, -3:]

    def weights(self, expression: Tensor, jaw: Tensor) -> Tensor:
        """Expression (B, E) and jaw (B, 3) -> the ARKit weights (B, 52), in 0..1, that explain them best.

        Bounded least squares of displacements by accelerated projected gradients (Beck and Teboulle 2009), with a prior
        that keeps actions at zero which are not needed. Expressions that no action makes are left out.
        """
        wanted = torch.cat([expression, jaw], 1).double().cpu()
        pulled = self.metric @ self.actions.T / SEEN_ERROR**2
        hessian = self.actions @ pulled + torch.eye(len(self.actions)).double() / WEIGHT_SPREAD**2
        step = 1 / torch.linalg.eigvalsh(hessian)[-1]
        now = ahead = wanted.new_zeros(len(wanted), len(self.actions))
        momentum = 1.0
        for _ in range(_STEPS):
            following = (ahead - step * (ahead @ hessian - wanted @ pulled)).clamp(0, 1)
            grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = following + (momentum - 1) / grown * (following - now)
            now, momentum = following, grown
        return now.to(expression)

    def arrays(self) -> dict[str, np.ndarray]:
        """What ``from_arrays`` reads back."""
        return {"names": np.array(ARKIT_NAMES), "head": np.array(self.head),
                **{name: getattr(self, name).numpy() for name in ("actions", "metric", "moved", "missed")}}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], name: str) -> ExpressionMap:
        """RigError, calling the file ``name``, when the arrays are not those of a map."""
        try:
            tensors = {key: torch.from_numpy(arrays[key].astype(np.float64)) for key in ("actions", "metric", "moved", "missed")}
            columns = tensors["actions"].shape[1]
            if (tuple(arrays["names"]) != ARKIT_NAMES or tensors["actions"].shape[0] != len(ARKIT_NAMES)
                    or tensors["metric"].shape != (columns, columns)):
                raise ValueError("shape")
            return ExpressionMap(**tensors, head=str(arrays["head"]))
        except (KeyError, ValueError, IndexError) as error:
            raise RigError(f"{name} is no expression map; delete it, or make it again with scripts/fit_expression_map.py."
                           ) from error


def map_file_name(head: HeadModel) -> str:
    """Name, in the folder of registered files, of the map for this edition of the head."""
    return f"expression_map_{head.hash[:12]}.npz"


_KNOWN: dict[str, ExpressionMap] = {}


def expression_map(head: HeadModel) -> ExpressionMap:
    """The map of ``head``: the one in the folder of registered files, else fitted now (a few seconds) and remembered."""
    if head.hash not in _KNOWN:
        path = user_assets() / map_file_name(head)
        found = ExpressionMap.from_arrays(read_array_file(path), str(path)) if path.is_file() else None
        if found is None or found.head != head.hash:
            from diffusionrig.geometry.expression_fit import fit_expression_map

            found = fit_expression_map(head)
        _KNOWN[head.hash] = found
    return _KNOWN[head.hash]
