"""The network of UniFR: attributes (B, T, 25) -> two bidirectional LSTM layers of 128 -> linear 256 -> coefficients (B, T, 58).

568,890 parameters under the names that ``nn.LSTM`` and ``nn.Linear`` give them. The answer is absolute: it was trained on
coefficients from which no mean face was taken, so none is added. (The published test fed (T, 1, 25) to it, T series of one frame
each, and its renderer added the mean face once more.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffusionrig.errors import RigError
from diffusionrig.io.checkpoints import load_weights, match_tensors
from diffusionrig.randomness import torch_stream
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS

HIDDEN, LAYERS = 128, 2
KIND = "attributes to coefficients"


class AttributesToCoefficients(nn.Module):
    """Use ``fresh`` for new weights and ``load_network`` for trained ones."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(ATTRIBUTES, HIDDEN, LAYERS, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * HIDDEN, COEFFICIENTS)

    def forward(self, attributes: Tensor) -> Tensor:
        """(B, T, 25) -> (B, T, 58). Series of one frame each would run as well, so mind which axis is time."""
        if attributes.ndim != 3 or attributes.shape[2] != ATTRIBUTES:
            raise ValueError(f"attributes must be (batch, frames, {ATTRIBUTES}), not {tuple(attributes.shape)}")
        return self.fc(self.lstm(attributes)[0])


def fresh(seed: int) -> AttributesToCoefficients:
    """New weights, uniform within 1 / sqrt(width) as torch draws them, from the stream of ``seed``."""
    network = AttributesToCoefficients()
    random = torch_stream(seed, "attributes to coefficients")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            reach = (HIDDEN if name.startswith("lstm") else 2 * HIDDEN) ** -0.5
            parameter.uniform_(-reach, reach, generator=random)
    return network


def load_network(path: str | Path) -> tuple[AttributesToCoefficients, dict[str, Any]]:
    """A trained network, from a checkpoint of ours or from a file as published (``lstm_model_200.pth``), which is not unpickled.

    The LSTM is told by its tensors' own names, the linear layer as what is left, whatever their modules were called.
    """
    tensors, meta = load_weights(path)
    network = AttributesToCoefficients()
    ours = network.lstm.state_dict()
    renamed = {}
    for name, tensor in tensors.items():
        last = name.rpartition(".")[2]
        renamed[f"lstm.{last}" if last in ours else f"fc.{last}"] = tensor
    if meta.get("kind", KIND) != KIND or len(renamed) < len(tensors):
        raise RigError(f"{path} is no network from attributes to coefficients; give the file that 'diffusionrig react coefficients "
                       "train' wrote.")
    match_tensors({name: tensor.shape for name, tensor in network.state_dict().items()}, renamed, str(path),
                  "Give a network of 25 attributes, two bidirectional layers of 128 and 58 coefficients.")
    network.load_state_dict(renamed)
    return network.eval(), meta
