"""SMIRK's networks: published names and sizes, and the arithmetic against float64 sums written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionrig.capture.smirk.backbone import LARGE, SMALL, Backbone, Inverted, SameConv2d
from diffusionrig.capture.smirk.networks import SmirkNetwork, limited

ENTRIES, PARAMETERS = 762, 3_599_921


@pytest.fixture(scope="module")
def network() -> SmirkNetwork:
    return SmirkNetwork().eval()


def test_the_published_sizes(network: SmirkNetwork) -> None:
    state = network.state_dict()
    assert len(state) == ENTRIES
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert shapes["pose_encoder.encoder.conv_stem.weight"] == (16, 3, 3, 3)
    assert shapes["pose_encoder.encoder.blocks.1.1.conv_pw.weight"] == (88, 24, 1, 1)
    assert shapes["pose_encoder.encoder.blocks.5.0.conv.weight"] == (576, 96, 1, 1)
    assert shapes["shape_encoder.encoder.blocks.0.0.conv_dw.weight"] == (16, 1, 3, 3)
    assert shapes["shape_encoder.encoder.blocks.3.3.conv_pwl.weight"] == (80, 184, 1, 1)
    assert shapes["expression_encoder.encoder.blocks.6.0.bn1.running_var"] == (960,)
    assert shapes["expression_encoder.expression_layers.0.weight"] == (55, 960)
    assert shapes["shape_encoder.shape_layers.0.bias"] == (300,)
    assert shapes["pose_encoder.pose_cam_layers.0.weight"] == (6, 576)


def test_every_norm_has_tensorflows_epsilon(network: SmirkNetwork) -> None:
    assert {module.eps for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize(("stages", "features"), [(SMALL, 576), (LARGE, 960)])
def test_features_are_a_thirty_second_of_the_picture(stages: tuple, features: int) -> None:
    with torch.no_grad():
        assert Backbone(stages, features).eval()(torch.rand(2, 3, 64, 96)).shape == (2, features, 2, 3)


def same_convolution(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """(C, H, W) depthwise with (C, 1, 3, 3): output (i, j) sums rows i*stride + 0..2 less the padding before."""
    channels, height, width = x.shape
    out = [-(-size // stride) for size in (height, width)]
    before = [max((o - 1) * stride + 3 - size, 0) // 2 for o, size in zip(out, (height, width))]
    result = np.zeros((channels, *out))
    for i in range(out[0]):
        for j in range(out[1]):
            for a in range(3):
                for b in range(3):
                    y, z = i * stride + a - before[0], j * stride + b - before[1]
                    if 0 <= y < height and 0 <= z < width:
                        result[:, i, j] += weight[:, 0, a, b] * x[:, y, z]
    return result


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_padding_is_tensorflows(stride: int, size: tuple[int, int]) -> None:
    layer = SameConv2d(4, 4, stride, groups=4).double()
    x = np.random.default_rng(0).standard_normal((4, *size))
    expected = same_convolution(x, layer.weight.detach().numpy(), stride)
    with torch.no_grad():
        np.testing.assert_allclose(layer(torch.from_numpy(x)[None])[0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("inside", "stride"), [(5, 1), (4, 1), (5, 2)])
def test_an_inverted_residual_written_out(inside: int, stride: int) -> None:
    block = Inverted(inside, 9, 5, stride).double().eval()
    generator = np.random.default_rng(stride)
    state = {name: torch.from_numpy(generator.uniform(0.4, 1.6, tuple(tensor.shape))) if tensor.is_floating_point() else tensor
             for name, tensor in block.state_dict().items()}
    state["conv_pw.weight"] -= 1
    block.load_state_dict(state)
    arrays = {name: tensor.numpy() for name, tensor in state.items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scale = arrays[f"{name}.weight"] / np.sqrt(arrays[f"{name}.running_var"] + 1e-3)
        return (x - arrays[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + arrays[f"{name}.bias"][:, None, None]

    x = generator.standard_normal((inside, 6, 6))
    wide = np.maximum(norm(np.einsum("oi,ihw->ohw", arrays["conv_pw.weight"][..., 0, 0], x), "bn1"), 0)
    wide = np.maximum(norm(same_convolution(wide, arrays["conv_dw.weight"], stride), "bn2"), 0)
    expected = norm(np.einsum("oi,ihw->ohw", arrays["conv_pwl.weight"][..., 0, 0], wide), "bn3")
    if inside == 5 and stride == 1:
        expected = expected + x
    with torch.no_grad():
        np.testing.assert_allclose(block(torch.from_numpy(x)[None])[0].numpy(), expected, atol=1e-10)


def test_the_limits_of_eyelids_and_jaw() -> None:
    raw = torch.linspace(-2, 2, 3)[:, None].expand(3, 55).clone()
    expression, eyelids, jaw = limited(raw)
    assert torch.equal(expression, raw[:, :50])
    assert eyelids.tolist() == [[0, 0], [0, 0], [1, 1]]
    torch.testing.assert_close(jaw, torch.tensor([[0.0, -0.2, -0.2], [0, 0, 0], [2, 0.2, 0.2]]))


def test_expression_alone_is_the_same_as_with_everything(network: SmirkNetwork) -> None:
    crops = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        codes, (expression, jaw) = network(crops), network.expression_and_jaw(crops)
    assert torch.equal(codes.expression, expression)
    assert torch.equal(codes.jaw, jaw)
    assert codes.shape.shape == (2, 300)
    assert codes.pose.shape == codes.camera.shape == (2, 3)
