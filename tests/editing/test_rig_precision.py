"""What precision and compiling may change: nothing but rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionrig.devices import computes_bf16, resolve_precision
from diffusionrig.editing.rig import Rig
from diffusionrig.errors import UsageError
from diffusionrig.faces.alignment import align_face
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.model.running import prediction_of

BF16_STEP = 2.0**-8
"""Relative rounding of bf16: 8 bits of mantissa, half a unit in the last place."""


def wake(network: torch.nn.Module) -> None:
    """Weights where training starts from zero, so that every branch counts."""
    random = torch.Generator().manual_seed(3)
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():
            parameter.data = torch.randn(parameter.shape, generator=random) * 0.05


@pytest.fixture
def network():
    config = ModelConfig(image_size=32, num_channels=32, channel_mult="1,2", num_res_blocks=1, norm_groups=8,
                         attention_resolutions="16", latent_dim=8, encoder_type="resnet18")
    made = build_network(config).eval().requires_grad_(False)
    wake(made)
    return made


def inputs(batch: int = 3) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    return (torch.randn(batch, 3, 32, 32, generator=random), torch.tensor([0, 400, 999]),
            torch.rand(batch, 9, 32, 32, generator=random), torch.randn(batch, 8, generator=random))


def test_float32_is_the_network_itself_up_to_the_layout(network):
    x, t, buffers, latent = inputs()
    plain = network(x, t, buffers, detail_cond=latent)
    torch.testing.assert_close(prediction_of(network)(x, t, buffers, latent), plain, rtol=1e-4, atol=1e-5)


def test_bf16_is_off_by_its_rounding(network):
    x, t, buffers, latent = inputs()
    plain = network(x, t, buffers, detail_cond=latent)
    rounded = prediction_of(network, "bf16")(x, t, buffers, latent)
    assert rounded.dtype == torch.float32
    assert {parameter.dtype for parameter in network.denoisingUNet.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in network.encoder.parameters()} == {torch.float32}
    error = (rounded - plain).square().mean().sqrt() / plain.std()
    # A handful of roundings in a row, each of half a step at most.
    assert 0 < error < 6 * BF16_STEP


@pytest.mark.slow
def test_compiled_is_the_same_up_to_rounding(network):
    x, t, buffers, latent = inputs()
    plain = network(x, t, buffers, detail_cond=latent)
    torch.testing.assert_close(prediction_of(network, compiled=True)(x, t, buffers, latent), plain, rtol=1e-4, atol=1e-5)


def test_an_edit_with_the_shipped_prior_in_bf16_is_within_a_grey_level():
    whole = read_image(asset_path("portrait.jpg"))
    face = align_face(whole, FaceLandmarker().detect(whole)[0].points68)
    pictures = []
    for precision in ("fp32", "bf16"):
        rig = Rig.from_pretrained(device="cpu", precision=precision)
        assert rig.precision == precision
        pictures.append(rig.edit(face, mode="exp", sliders="jawOpen=0.6").image.astype(float))
    assert 0 < np.abs(pictures[0] - pictures[1]).mean() < 1


def test_auto_chooses_what_the_device_computes_in(monkeypatch):
    cpu = torch.device("cpu")
    for able, expected in (({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert resolve_precision("auto", cpu) == expected
        assert computes_bf16(cpu) == (expected == "bf16")
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_precision("auto", cpu) == "fp32"
    assert resolve_precision("bf16", cpu) == "bf16"
    with pytest.raises(UsageError, match="--precision half does not exist"):
        resolve_precision("half", cpu)
