"""Fixtures: a small untrained rig whose encoder reads the true code from the pixels."""

import pytest
import torch
from seed_faces import MODEL, SeedEncoder

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.editing import capturing as capturing_module
from diffusionrig.editing import rig as rig_module
from diffusionrig.geometry.heads import DEFAULT_HEAD, load_head
from diffusionrig.io.checkpoints import save_checkpoint
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.randomness import torch_stream

REFERENCE_MODEL = ModelConfig(image_size=64, num_channels=16, channel_mult="1,1", num_res_blocks=1, attention_resolutions="",
                              norm_groups=8, condition="reference", patch=2, encoder_type="none")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    network, head = build_network(MODEL, seed=3), load_head()
    generator = torch_stream(0, "weights")
    # Layers that start at zero would hide every difference.
    tensors = {name: tensor + 0.05 * torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
               for name, tensor in network.state_dict().items()}
    tensors = {name: tensor.abs() if "running_var" in name else tensor for name, tensor in tensors.items()}
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, tensors, {"model": MODEL.to_dict(), "diffusion": DiffusionConfig().to_dict(),
                                    "head": {"name": head.name, "hash": head.hash}, "step": 0, "consent": "none needed"})
    return path


@pytest.fixture(scope="session")
def reference_checkpoint(tmp_path_factory):
    """A small network of the reference condition whose residual, never trained, is seen wherever it may act."""
    network, head = build_network(REFERENCE_MODEL, seed=4), load_head()
    generator = torch_stream(1, "weights")
    tensors = {name: tensor + 0.02 * torch.randn(tensor.shape, generator=generator) if tensor.is_floating_point() else tensor
               for name, tensor in network.state_dict().items()}
    path = tmp_path_factory.mktemp("model") / "reference.safetensors"
    save_checkpoint(path, tensors, {"model": REFERENCE_MODEL.to_dict(),
                                    "diffusion": DiffusionConfig(one_call=True, predict_xstart=True).to_dict(),
                                    "head": {"name": head.name, "hash": head.hash}, "step": 0, "consent": "none needed"})
    return path


@pytest.fixture(scope="session")
def reference_rig(reference_checkpoint):
    """It, with the shipped capture, which sees real photographs."""
    return rig_module.Rig.from_pretrained(reference_checkpoint, device="cpu", precision="fp32", encoder="FIT")


@pytest.fixture
def rig(checkpoint, monkeypatch):
    monkeypatch.setattr(capturing_module, "make_encoder", lambda name, head, device, options: SeedEncoder())
    for module in (capturing_module, rig_module):
        monkeypatch.setattr(module, "best_encoder", lambda head="": "SEED")
    monkeypatch.setattr(rig_module, "usual_head", lambda name: DEFAULT_HEAD)
    return rig_module.Rig.from_pretrained(checkpoint, device="cpu", precision="fp32")
