"""A task: whatever is trained by the common loop besides the rig itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

Batch = Mapping[str, Tensor]


class Task(Protocol):
    """What the loop needs to know of a network, its data and its loss.

    name      one word for messages and progress
    network   everything that is saved; parameters that do not require gradients are saved and left alone; where it has a method
              ``undecayed``, weight decay spares the parameters whose names that returns, else vectors and scalars
    meta      what the checkpoint says about itself (kind, configuration, data); plain values

    All randomness of ``batch`` and ``loss`` must come from the sample numbers (``diffusionrig.randomness`` with the run's seed),
    so that N processes of batch B train what one of batch N B trains, and a resumed run what an uninterrupted one trains.
    Dropout is keyed by the loop.
    """

    @property
    def name(self) -> str: ...

    @property
    def meta(self) -> dict[str, Any]: ...

    @property
    def network(self) -> nn.Module:
        """See above; a plain attribute does."""

    def __len__(self) -> int:
        """Number of training items, for the log."""

    def batch(self, samples: Sequence[int]) -> Batch:
        """The items shown as the given sample numbers of the whole run (see ``data.sampling.record_of``), on the CPU."""

    def loss(self, batch: Batch, samples: Sequence[int]) -> dict[str, Tensor]:
        """Scalars of a batch that is on the network's device: ``loss`` to be minimised, a mean over the batch; the others
        are logged under their names, which must not change during a run."""
