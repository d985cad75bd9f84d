"""A run that trains low-rank adapters: what it starts from, what it says about itself, what it stores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.errors import UsageError
from diffusionrig.io.files import sha256_of
from diffusionrig.model.adapters import AdapterConfig, adapter_part, add_adapters
from diffusionrig.model.network import DiffusionRig
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.start import Start


def adapter_of(options: TrainOptions) -> AdapterConfig | None:
    """The adapters a run trains; None when it trains the network itself."""
    if options.adapter == "none":
        return None
    return AdapterConfig(options.rank, options.alpha or float(options.rank), options.adapter_layers)


def check_adapter(options: TrainOptions, start: Start) -> None:
    """UsageError when the run in the folder trains something else, or there is nothing to adapt."""
    adapter = adapter_of(options)
    asked = None if adapter is None else adapter.to_dict()
    if start.state is not None and start.meta.get("adapter") != asked:
        raise UsageError(f"{start.source} belongs to a run with {_words(start.meta.get('adapter'))}, but {_words(asked)} was asked "
                         "for; repeat the flags of that run, or choose another --log_dir.")
    if adapter is not None and start.tensors is None:
        raise UsageError("--adapter lora adapts a trained network; name its weights by --resume_checkpoint.")


def _words(adapter: Mapping[str, Any] | None) -> str:
    if adapter is None:
        return "--adapter none"
    return f"--adapter lora --rank {adapter['rank']} --alpha {adapter['alpha']:g} --adapter_layers {adapter['layers']}"


def prepare_adapters(network: DiffusionRig, options: TrainOptions, start: Start) -> Mapping[str, Tensor]:
    """Adapt ``network`` where the run asks for it; returns the weights to load: those of the start, fresh adapters added."""
    assert start.tensors is not None
    adapter = adapter_of(options)
    if adapter is None:
        return start.tensors
    add_adapters(network, adapter, options.seed)
    return {**adapter_part(network.state_dict()), **start.tensors}


def describe_adapter(options: TrainOptions, start: Start) -> dict[str, Any]:
    """What an adapter's file says of itself and of the base it belongs to; empty for a run without one.

    base  name, SHA-256 and bytes of the file, and the path it was given by
    """
    adapter = adapter_of(options)
    if adapter is None:
        return {}
    base = start.meta["base"] if start.state is not None else {
        "name": Path(start.source).name, "hash": sha256_of(start.source), "bytes": Path(start.source).stat().st_size,
        "path": options.resume_checkpoint}
    return {"kind": "adapter", "adapter": adapter.to_dict(), "base": base}


def stored_part(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The adapters alone, in half precision: their rounding is far below what one update moves them by."""
    return {name: tensor.to(torch.float16) for name, tensor in adapter_part(weights).items()}
