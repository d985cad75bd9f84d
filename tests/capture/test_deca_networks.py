"""DECA's networks against an evaluation in float64 from the published names, and the strict filling of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from standins.networks import detail_decoder_names, encoder_names, random_weights

from diffusionrig.capture.deca.detail import DetailDecoder
from diffusionrig.capture.deca.heads import DecaCode, Regressor, split
from diffusionrig.capture.deca.weights import coarse_network, detail_networks, filled
from diffusionrig.errors import RigError, UsageError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def coarse_state() -> State:
    return random_weights(encoder_names(236), torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def decoder_state() -> State:
    return random_weights(detail_decoder_names(), torch.Generator().manual_seed(2))


def normalised(state: State, name: str, x: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Batch normalisation with the running statistics, written out."""
    mean, variance, weight, bias = (state[f"{name}.{part}"].double()[:, None, None]
                                    for part in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / torch.sqrt(variance + epsilon) * weight + bias


def regress(state: State, x: torch.Tensor) -> torch.Tensor:
    """ResNet-50 v1.5 and two linear layers by their published names, float64."""
    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[f"encoder.{name}.weight"].double()
        return F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)

    def bn(name: str, x: torch.Tensor) -> torch.Tensor:
        return normalised(state, f"encoder.{name}", x, 1e-5)

    x = F.max_pool2d(bn("bn1", conv("conv1", x, 2)).relu(), 3, 2, 1)
    for layer, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)):
        for block in range(blocks):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            h = bn(f"{name}.bn1", conv(f"{name}.conv1", x)).relu()
            h = bn(f"{name}.bn2", conv(f"{name}.conv2", h, stride)).relu()
            h = bn(f"{name}.bn3", conv(f"{name}.conv3", h))
            x = (h + (bn(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride)) if block == 0 else x)).relu()
    x = x.mean((2, 3))  # 7 x 7 places are all there are at 224 pixels
    for layer in (0, 2):
        x = x @ state[f"layers.{layer}.weight"].double().T + state[f"layers.{layer}.bias"].double()
        x = x.relu() if layer == 0 else x
    return x


def decode(state: State, condition: np.ndarray) -> np.ndarray:
    """The detail decoder by its published names, float64."""
    x = condition @ state["l1.0.weight"].double().numpy().T + state["l1.0.bias"].double().numpy()
    h = normalised(state, "conv_blocks.0", torch.from_numpy(x.reshape(-1, 128, 8, 8)), 1e-5)
    for index in (2, 6, 10, 14, 18):
        h = twice_as_large(h)
        h = F.conv2d(h, state[f"conv_blocks.{index}.weight"].double(), state[f"conv_blocks.{index}.bias"].double(), padding=1)
        h = normalised(state, f"conv_blocks.{index + 1}", h, 0.8)
        h = torch.where(h > 0, h, 0.2 * h)
    h = F.conv2d(h, state["conv_blocks.21.weight"].double(), state["conv_blocks.21.bias"].double(), padding=1)
    return 0.01 * np.tanh(h.numpy())


def twice_as_large(x: torch.Tensor) -> torch.Tensor:
    """Bilinear, pixel areas aligned: every new pixel is 3/4 of the nearest old one and 1/4 of the next, repeated at ends."""
    for axis in (2, 3):
        x = x.movedim(axis, 0)
        before, after = torch.cat([x[:1], x[:-1]]), torch.cat([x[1:], x[-1:]])
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], 1).flatten(0, 1).movedim(0, axis)
    return x


@pytest.mark.parametrize(("outputs", "parameters"), [(236, 25_848_108), (128, 25_737_408), (50, 25_657_458), (53, 25_660_533),
                                                     (56, 25_663_608)])
def test_parameters_are_as_many_as_published(outputs, parameters):
    with torch.device("meta"):
        network = Regressor(outputs)
    assert sum(tensor.numel() for tensor in network.parameters()) == parameters
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == dict(encoder_names(outputs))
    assert len(network.state_dict()) == 322


def test_the_decoders_parameters_are_as_many_as_published():
    network = DetailDecoder()
    assert sum(tensor.numel() for tensor in network.parameters()) == 1_773_345
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == dict(detail_decoder_names())


def test_the_coarse_network_computes_the_published_function(coarse_state):
    crops = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    found = coarse_network({"E_flame": coarse_state}, "test")(crops)
    expected = regress(coarse_state, crops.double())
    assert expected.abs().max() > 0.1
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


def test_the_decoder_computes_the_published_function(decoder_state):
    generator = torch.Generator().manual_seed(0)
    jaw, expression, detail = (torch.randn(2, size, generator=generator) for size in (3, 50, 128))
    found = filled(DetailDecoder(), decoder_state, "test")(jaw, expression, detail)
    expected = decode(decoder_state, torch.cat([jaw, expression, detail], 1).double().numpy())
    assert found.shape == (2, 1, 256, 256)
    assert 1e-4 < np.abs(expected).max() <= 0.01
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-7)


def test_crops_of_another_size_are_refused(coarse_state):
    with pytest.raises(RigError, match=r"\(B, 3, 224, 224\), not \(1, 3, 256, 256\)"):
        Regressor(236)(torch.zeros(1, 3, 256, 256))


def test_the_vector_is_split_in_the_published_order():
    code = split(torch.arange(472.0).reshape(2, 236))
    assert [tuple(getattr(code, name).shape) for name in ("shape", "tex", "exp", "pose", "cam", "light")] == [
        (2, 100), (2, 50), (2, 50), (2, 6), (2, 3), (2, 9, 3)]
    firsts = [float(getattr(code, name)[1].flatten()[0]) - 236 for name in ("shape", "tex", "exp", "pose", "cam", "light")]
    assert firsts == [0, 100, 150, 200, 206, 209]
    assert code.light[0, 4].tolist() == [209 + 12, 209 + 13, 209 + 14]  # a band's three colours lie side by side


def test_euler_jaws_become_axis_angle_and_nothing_else_changes():
    vector = torch.zeros(3, 236)
    vector[0, 203], vector[1, 204], vector[2, 203:206] = 0.3, -0.2, torch.tensor([0.3, -0.2, 0.5])
    vector[:, 200] = 0.7
    code: DecaCode = split(vector, "euler")
    torch.testing.assert_close(code.pose[:2], vector[:2, 200:206])
    x, y, z = 0.3, -0.2, 0.5
    rx = np.array([[1, 0, 0], [0, math.cos(x), -math.sin(x)], [0, math.sin(x), math.cos(x)]])
    ry = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    rz = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    turn = rx @ ry @ rz
    angle = math.acos((np.trace(turn) - 1) / 2)
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / (2 * math.sin(angle))
    np.testing.assert_allclose(code.pose[2, 3:].numpy(), angle * axis, atol=1e-6)
    with pytest.raises(UsageError, match="'quaternion'; choose one of aa, euler"):
        split(vector, "quaternion")


def test_missing_extra_and_misshaped_tensors_are_named(decoder_state, coarse_state):
    damaged = dict(decoder_state)
    del damaged["conv_blocks.3.bias"]
    damaged["conv_blocks.21.weight"] = torch.zeros(1, 8, 3, 3)
    damaged["module.l1.0.bias"] = torch.zeros(3)
    states = {"E_flame": coarse_state, "E_detail": random_weights(encoder_names(128), torch.Generator()), "D_detail": damaged}
    with pytest.raises(RigError) as caught:
        detail_networks(states, "data/deca_model.tar")
    for words in ("D_detail of data/deca_model.tar", "1 missing (conv_blocks.3.bias)", "1 extra (module.l1.0.bias)",
                  "conv_blocks.21.weight is (1, 8, 3, 3) instead of (1, 16, 3, 3)", "Download the file again"):
        assert words in str(caught.value)
