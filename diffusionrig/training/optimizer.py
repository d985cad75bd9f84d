"""One update: unscale, measure, clip, step. A step whose gradient is not finite is skipped."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


def make_optimizer(name: str, parameters: Iterable[nn.Parameter], lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Adam as published (betas 0.9 and 0.999, eps 1e-8, L2 decay), or AdamW with decoupled decay."""
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(list(parameters), lr=lr, weight_decay=weight_decay, fused=True)


def learning_rate(lr: float, update: int, warmup_steps: int, decay_steps: int = 0, max_steps: int = 0) -> float:
    """Rate of the ``update``-th update (counted from 1): rises linearly to ``lr`` over ``warmup_steps``, is constant as published,
    and falls linearly towards 0 over the last ``decay_steps`` of ``max_steps``."""
    rise = update / warmup_steps if warmup_steps else 1.0
    fall = (max_steps + 1 - update) / (decay_steps + 1) if decay_steps else 1.0
    return lr * min(1.0, rise, max(fall, 0.0))


def cosine_rate(lr: float, update: int, warmup_steps: int, keep_steps: int, max_steps: int, lr_start: float = 0.0,
                lr_end: float = 0.0, jump: bool = False) -> float:
    """Rate of the ``update``-th update (counted from 1): rises linearly from ``lr_start`` over ``warmup_steps``, stays at ``lr``
    until ``keep_steps``, and falls on half a cosine to ``lr_end`` at ``max_steps``.

    ``jump`` counts the cosine's phase from the end of the warm-up, as UniFR was published, so that the rate jumps down at
    ``keep_steps``.
    """
    done = update - 1
    if done < warmup_steps:
        return lr_start + (lr - lr_start) * done / warmup_steps
    if done < keep_steps:
        return lr
    begin = warmup_steps if jump else max(warmup_steps, keep_steps)
    phase = min(1.0, (done - begin) / max(max_steps - begin, 1))
    return lr_end + (lr - lr_end) * (1 + math.cos(math.pi * phase)) / 2


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale gradients so that their global norm is at most ``limit`` (0: leave them); returns the norm before, a scalar."""
    return nn.utils.clip_grad_norm_(parameters, limit if limit > 0 else math.inf)


def optimizer_state(optimizer: torch.optim.Optimizer, names: list[str]) -> dict[str, dict[str, Tensor]]:
    """The optimiser's tensors by parameter name."""
    state = optimizer.state_dict()["state"]
    return {name: state[i] for i, name in enumerate(names) if i in state}


def restore_optimizer(optimizer: torch.optim.Optimizer, names: list[str], state: dict[str, dict[str, Tensor]]) -> None:
    """The inverse of ``optimizer_state``. Rates and decay stay as they were asked for in this run."""
    whole = optimizer.state_dict()
    whole["state"] = {i: state[name] for i, name in enumerate(names) if name in state}
    optimizer.load_state_dict(whole)
