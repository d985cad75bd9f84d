"""Photographs whose first pixel names the face in them, and an encoder that reads it: editing tested by itself."""

import numpy as np
import torch

from diffusionrig.capture.encoder import Capture
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.model.config import ModelConfig
from diffusionrig.randomness import torch_stream

MODEL = ModelConfig(image_size=32, num_channels=32, channel_mult="1,1", num_res_blocks=1, attention_resolutions="16")


def face_code(seed: int) -> FaceCode:
    """A plausible face, framed like an aligned photograph."""
    head, generator = load_head(), torch_stream(seed, "face")

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(1, *shape, generator=generator)

    light = 0.3 * draw(9, 3)
    light[:, 0] += 2.5
    return FaceCode(shape=0.5 * draw(head.n_shape), albedo=0.5 * draw(head.n_albedo),
                    expression=0.3 * draw(head.n_expression).abs(), pose=0.2 * draw(6),
                    camera=torch.tensor([[8.0, 0.0, 0.03]]), light=light, head=head.name)


class SeedEncoder:
    """Takes the first pixel's red as the seed of the face; 255 means that there is no face."""

    name = "SEED"

    def encode(self, images):
        seeds = [int(image[0, 0, 0]) for image in images]
        found = torch.tensor([seed != 255 for seed in seeds])
        notes = ["" if ok else "no face was found" for ok in found.tolist()]
        return Capture(FaceCode.concatenate([face_code(seed) for seed in seeds]), found, notes)


def photo(seed: int) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    image[:4, :4, 0] = seed
    return image
