"""Filling DECA's networks with the tensors of ``deca_model.tar``, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from diffusionrig.capture.deca.detail import DetailDecoder
from diffusionrig.capture.deca.heads import N_DETAIL, N_OUTPUTS, Regressor
from diffusionrig.io.checkpoints import match_tensors

Network = TypeVar("Network", bound=nn.Module)

COARSE, DETAIL, DECODER = "E_flame", "E_detail", "D_detail"
"""What the file calls the network of the 236 numbers, that of the detail code, and the decoder of displacements."""


def filled(network: Network, tensors: Mapping[str, Tensor], what: str) -> Network:
    """``network`` with ``tensors``, in eval mode and without gradients. RigError naming ``what`` and the tensors that are
    missing, extra or misshaped."""
    match_tensors({name: tensor.shape for name, tensor in network.state_dict().items()}, tensors, what,
                  "Download the file again from where you registered.")
    network.load_state_dict(dict(tensors))
    return network.eval().requires_grad_(False)


def coarse_network(states: Mapping[str, Mapping[str, Tensor]], what: str) -> Regressor:
    """The network of the 236 numbers."""
    return filled(Regressor(N_OUTPUTS), states[COARSE], f"{COARSE} of {what}")


def detail_networks(states: Mapping[str, Mapping[str, Tensor]], what: str) -> tuple[Regressor, DetailDecoder]:
    """The network of the detail code and the decoder of displacements."""
    return (filled(Regressor(N_DETAIL), states[DETAIL], f"{DETAIL} of {what}"),
            filled(DetailDecoder(), states[DECODER], f"{DECODER} of {what}"))
