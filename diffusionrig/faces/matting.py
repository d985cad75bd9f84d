"""Which pixels of an aligned picture show the person, hair and clothes included: MediaPipe's selfie segmentation."""

from __future__ import annotations

import threading

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from diffusionrig.faces.networks import SEGMENTATION, Network
from diffusionrig.io.assets import read_asset

SIDE = 256
"""Pixels that the network sees."""

_local = threading.local()


def person_matte(photo: Tensor) -> Tensor:
    """Photographs (B, 3, H, W) in [-1, 1] -> the share (B, 1, 256, 256) in 0..1 of each pixel that shows a person, on the
    photograph's device. Everybody in the picture counts. Computed on the CPU, one photograph after the other (5 ms each), so that
    a batch gives what its photographs give alone. RigError when the installation lacks the network.
    """
    network: Network | None = getattr(_local, "network", None)
    if network is None:
        network = _local.network = Network(read_asset(SEGMENTATION))
    small = photo.detach().float()
    if small.shape[-2:] != (SIDE, SIDE):
        mode = "area" if small.shape[-1] > SIDE else "bilinear"
        small = interpolate(small, (SIDE, SIDE), mode=mode)
    seen = ((small + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).cpu().contiguous()
    shares = [torch.from_numpy(network(one[None].numpy())[0]) for one in seen]
    matte = torch.cat(shares).permute(0, 3, 1, 2) if shares else seen.new_zeros(0, 1, SIDE, SIDE)
    return matte.clamp(0, 1).to(photo)
