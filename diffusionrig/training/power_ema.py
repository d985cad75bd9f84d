"""Power-function averages of the weights, kept side by side while training, and their snapshots."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import UsageError
from diffusionrig.training.ema import WeightAverage
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.power_profiles import decay_of, gamma_of, parse_widths

_LARGEST_HALF = 65504.0


class PowerAverages:
    """One power-function average for each relative width in ``widths``, of every floating tensor of a module's state dict.

    Integer tensors are those of the module. Tensors in ``fixed`` never change (a frozen encoder) and are left alone.

    begun    optimiser updates done before averaging began
    updates  updates averaged since
    tensors  the average of the first width, with all other tensors of the module: the model that is saved
    """

    def __init__(self, module: nn.Module, widths: tuple[float, ...], fixed: frozenset[str] = frozenset()) -> None:
        self.widths, self.fixed = widths, fixed
        self.begun = self.updates = 0
        state = module.state_dict()
        self._live = {name: tensor for name, tensor in state.items() if name not in fixed}
        self._moving = [name for name, tensor in self._live.items() if tensor.is_floating_point()]
        self.tensors: dict[str, Tensor] = {name: tensor.detach().clone() for name, tensor in state.items()}
        self.averages: dict[float, dict[str, Tensor]] = {
            width: {name: state[name].detach().clone() for name in self._moving} for width in widths[1:]}
        self.averages[widths[0]] = self.tensors

    @torch.no_grad()
    def update(self) -> None:
        """Count one optimiser update and move every average towards the weights as they are now."""
        self.updates += 1
        live = [self._live[name] for name in self._moving]
        for width, average in self.averages.items():
            weight = 1 - decay_of(gamma_of(width), self.updates)
            torch._foreach_lerp_([average[name] for name in self._moving], live, weight)
        for name, tensor in self._live.items():
            if not tensor.is_floating_point():
                self.tensors[name].copy_(tensor)

    def state(self) -> dict[str, Any]:
        """Everything needed to go on averaging; tensors are not copied."""
        return {"widths": list(self.widths), "begun": self.begun, "updates": self.updates,
                "averages": [dict(self.averages[width]) for width in self.widths]}

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        if tuple(state["widths"]) != self.widths:
            widths = ",".join(f"{width:g}" for width in state["widths"])
            raise UsageError(f"This run averages over the widths {widths}; go on with --ema_sigma_rel {widths}.")
        self.begun, self.updates = state["begun"], state["updates"]
        for width, held in zip(self.widths, state["averages"]):
            for name, tensor in self.averages[width].items():
                tensor.copy_(held[name])

    @torch.no_grad()
    def begin(self, step: int) -> None:
        """Begin anew at the module's weights, ``step`` updates into the run."""
        self.begun, self.updates = step, 0
        for average in self.averages.values():
            for name in self._moving:
                average[name].copy_(self._live[name])

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The averages in half precision, named ``WIDTH/NAME``, and what they are; integer tensors are named plainly."""
        tensors = {f"{width:g}/{name}": _halved(self.averages[width][name]) for width in self.widths for name in self._moving}
        tensors.update((name, self.tensors[name]) for name, tensor in self._live.items() if not tensor.is_floating_point())
        return tensors, {"sigma_rel": list(self.widths), "begun": self.begun, "updates": self.updates}


def _halved(tensor: Tensor) -> Tensor:
    """Half precision where the numbers fit into it."""
    return tensor.half() if bool((tensor.abs() <= _LARGEST_HALF).all()) else tensor


def make_average(module: nn.Module, options: TrainOptions, fixed: Iterable[str]) -> WeightAverage | PowerAverages | None:
    """The average that ``options`` ask for; None for the last weights."""
    if options.ema_profile == "power":
        return PowerAverages(module, parse_widths(options.ema_sigma_rel), frozenset(fixed))
    return WeightAverage(module, options.ema_decay, frozenset(fixed)) if options.ema_decay else None
