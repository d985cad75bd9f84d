"""How a network that is not trained is run: its precision, and whether it is compiled."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

from diffusionrig.errors import UsageError
from diffusionrig.model.network import DiffusionRig, finished

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# (noisy images (B,3,S,S), model time (B,), buffers (B,9,S,S), latents (B,latent_dim)) -> what the UNet predicts, float32
Prediction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def check_compiler(device: torch.device) -> None:
    """UsageError when torch.compile cannot work here: on a CPU it writes C++ and needs a compiler for it."""
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise UsageError("--compile True needs a C++ compiler on this CPU (g++ or clang++), and there is none; install one or "
                         "leave it out.")


def prediction_of(network: DiffusionRig, precision: str = "fp32", compiled: bool = False) -> Prediction:
    """The denoising UNet of ``network`` as a function, for sampling.

    For bf16 or fp16 the weights of that UNet are rounded in place, once (autocast would round them at every call, a copy would take
    their room again), so ``network`` is for this use alone from then on; norms are computed in float32 all the same, and so are the
    global latents, which are not part of it. Convolution weights are laid out for channels-last images. ``compiled``: by
    torch.compile, at the first call of each batch size.
    """
    dtype = DTYPES[precision]
    unet: nn.Module = network.denoisingUNet.to(dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = torch.compile(unet) if compiled else unet

    def predict(x: Tensor, t: Tensor, buffers: Tensor, latent: Tensor) -> Tensor:
        seen = torch.cat([x, buffers], dim=1).to(dtype, memory_format=torch.channels_last)
        predicted: Tensor = run(seen, t, latent.to(dtype))
        return finished(predicted.float(), buffers, network.config)

    return predict
