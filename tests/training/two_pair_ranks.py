"""One of two ranks: trains the reference condition a little and writes rank 0's gradients. Arguments: stores, output file."""

import sys

import torch

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.training.distributed import World, start_world
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.pair_batches import PairFaces
from diffusionrig.training.trainer import Trainer

NETWORK = ModelConfig(image_size=64, num_channels=16, norm_groups=4, channel_mult="1,2", num_res_blocks=1, attention_resolutions="",
                      dropout=0.0, condition="reference", encoder_type="none", patch=4)


def train(world: World, stores: str, batch_size: int) -> dict[str, torch.Tensor]:
    """Two updates at rate 0 (Adam would enlarge rounding); gradients of the second, by name, and losses."""
    options = TrainOptions(data_dir=stores, batch_size=batch_size, lr=0.0, precision="fp32", data_shares="1,2")
    network = build_network(NETWORK)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for parameter in network.parameters():
            if not parameter.any():  # zero layers hide whatever lies before them from the gradient
                parameter.data.normal_(0, 0.05)
    trainer = Trainer(network, GaussianDiffusion(DiffusionConfig(predict_xstart=True)),
                      PairFaces([FaceStoreDataset(store) for store in stores.split(",")], options), options, world)
    updates = [trainer.update() for _ in range(2)]
    trainer.close()
    return {**{name: parameter.grad.clone() for name, parameter in zip(trainer.names, trainer.parameters)},
            "loss": torch.tensor([update.loss for update in updates])}


if __name__ == "__main__":
    with start_world("cpu") as world:
        results = train(world, sys.argv[1], 1)
        if world.main:
            torch.save(results, sys.argv[2])
