"""BatchNorm whose statistics span all processes, on any device (torch's own needs CUDA)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from diffusionrig.training.distributed import World


class WorldBatchNorm2d(nn.BatchNorm2d):
    """In train mode: normalises by the mean and variance over the batches of all processes, so that N processes of batch B
    do what one process of batch N B does. Parameter names and eval mode are BatchNorm2d's."""

    world: World

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = values.numel() / values.shape[1] * self.world.size
        mean = self.world.sum_with_gradient(values.sum((0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = self.world.sum_with_gradient(centred.square().sum((0, 2, 3))) / count
        self._track(mean.detach(), variance.detach(), count)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: float) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = 0.1 if self.momentum is None else self.momentum
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, momentum)
        # Running variances are unbiased, as BatchNorm2d keeps them.
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)


def span_world(module: nn.Module, world: World) -> None:
    """Make every BatchNorm2d inside ``module`` span the processes; parameters, buffers and their names stay."""
    if world.size == 1:
        return
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = WorldBatchNorm2d
            part.world = world  # type: ignore[assignment]


@torch.no_grad()
def average_statistics(module: nn.Module, world: World) -> None:
    """Give every process the mean of all processes' running statistics (when each kept its own)."""
    for name, buffer in module.named_buffers():
        if world.size > 1 and name.endswith(("running_mean", "running_var")):
            buffer.copy_(world.sum(buffer.clone()) / world.size)
