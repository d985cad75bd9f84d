"""Run by mpiexec or torchrun: trains a little and writes rank 0's gradients and weights. Arguments: store, output file."""

import sys
from pathlib import Path

import torch
from training.tiny import tiny_network, tiny_trainer

from diffusionrig.model.adapters import AdapterConfig, add_adapters
from diffusionrig.training.distributed import start_world

RUNS = {"stage1": (1, "none"), "stage2": (2, "none"), "lora": (2, "lora")}


def train(world, store: str, batch_size: int, run: str) -> dict[str, torch.Tensor]:
    """Two updates at rate 0 (Adam would enlarge rounding); gradients of the second and running statistics, by name."""
    (stage, adapter), network = RUNS[run], tiny_network(0.0)
    if adapter == "lora":
        add_adapters(network, AdapterConfig(rank=2))
    trainer = tiny_trainer(Path(store), world, network, stage=stage, adapter=adapter, batch_size=batch_size, lr=0.0)
    updates = [trainer.update() for _ in range(2)]
    trainer.close()
    found = {f"gradient.{name}": parameter.grad.clone() for name, parameter in zip(trainer.names, trainer.parameters)}
    return {**found, **{name: tensor.clone() for name, tensor in trainer.network.state_dict().items()},
            "loss": torch.tensor([update.loss for update in updates])}


if __name__ == "__main__":
    with start_world("cpu") as world:
        results = {f"{run}.{name}": tensor for run in RUNS for name, tensor in train(world, sys.argv[1], 2, run).items()}
        if world.main:
            torch.save(results, sys.argv[2])
