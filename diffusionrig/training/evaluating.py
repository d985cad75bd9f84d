"""Running the network with weights other than its own, and leaving it as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Every part of ``network`` in eval mode, and afterwards in the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def run_with(module: nn.Module, weights: Mapping[str, Tensor], *inputs: Tensor, prefix: str = "") -> Tensor:
    """``module(*inputs)`` with those of ``weights`` whose names begin with ``prefix`` in place of its own."""
    own = {name[len(prefix):]: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    output: Tensor = torch.func.functional_call(module, own, inputs)
    return output
