import pytest
import torch

from diffusionrig.errors import RigError, UsageError
from diffusionrig.model.adapters import AdapterConfig, adapter_part, add_adapters, merged
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig, build_network
from diffusionrig.randomness import torch_stream

# Strided and upsampling convolutions, attention, 1x1 shortcuts: every kind of layer there is.
SMALL = ModelConfig(image_size=16, num_channels=16, channel_mult="1,2", num_res_blocks=1, attention_resolutions="8", latent_dim=8,
                    norm_groups=4, resblock_updown=False, dropout=0.0)
CONFIG = AdapterConfig(rank=3, alpha=6.0)


def inputs():
    generator = torch_stream(1, "inputs")
    x, buffers, latent = (torch.randn(2, *shape, generator=generator, dtype=torch.float64) for shape in
                          ((3, 16, 16), (9, 16, 16), (8,)))
    return x, torch.tensor([10, 700]), buffers, latent


def network():
    """In float64, with nothing at zero that could hide what lies before it."""
    built, generator = build_network(SMALL).double().eval(), torch_stream(2, "weights")
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return built


def trained(net):
    """As after training: random second factors."""
    generator = torch_stream(3, "up")
    for name, parameter in net.named_parameters():
        if name.endswith("adapter_up"):
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return net


def test_adapted_networks_start_as_their_base_and_train_adapters_alone():
    net = network()
    before, names = net(*inputs()), set(net.state_dict())
    add_adapters(net, CONFIG)
    assert torch.equal(net(*inputs()), before)
    learning = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
    assert learning == set(adapter_part(net.state_dict()))
    assert set(net.state_dict()) - learning == names
    assert not any(name.startswith("encoder.") for name in learning)
    net(*inputs()).square().sum().backward()
    assert all(parameter.grad is not None and bool(parameter.grad.any())
               for name, parameter in net.named_parameters() if name.endswith("adapter_up"))


@pytest.mark.parametrize(("layers", "kinds"), [("conv", {4}), ("attention", {3}), ("linear", {2}), ("linear,conv", {2, 4})])
def test_chosen_layers_are_adapted(layers, kinds):
    net = network()
    add_adapters(net, AdapterConfig(layers=layers))
    assert {factor.dim() for factor in adapter_part(net.state_dict()).values()} == kinds


def test_merged_weights_compute_the_same():
    net = network()
    add_adapters(net, CONFIG)
    expected = trained(net)(*inputs()).detach()
    plain = network()
    unadapted = plain(*inputs()).detach()
    plain.load_state_dict(merged({name: tensor.double() for name, tensor in net.state_dict().items()}, CONFIG))
    # The product is taken in single precision, the weights' own.
    assert float((plain(*inputs()) - expected).detach().abs().max()) < 1e-5 * float((expected - unadapted).abs().max())


def test_factors_are_functions_of_the_seed_and_no_larger_than_their_matrix():
    first, same, other = (network() for _ in range(3))
    for net, seed in ((first, 0), (same, 0), (other, 1)):
        add_adapters(net, AdapterConfig(rank=12), seed)
    name = "denoisingUNet.out.2.adapter_down"
    assert first.state_dict()[name].shape == (3, 16, 3, 3)  # three output channels
    assert torch.equal(first.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_the_published_network_needs_less_than_7_megabytes():
    with torch.device("meta"):
        net = DiffusionRig(ModelConfig())
        add_adapters(net, AdapterConfig(rank=8))
    numbers = sum(tensor.numel() for tensor in adapter_part(net.state_dict()).values())
    assert numbers == 3_339_497  # the sum over all layers of rank x (rows + columns)


@pytest.mark.parametrize(("values", "words"), [
    ({"rank": 0}, "--rank must be 1 or more"), ({"alpha": 0.0}, "--alpha must be above 0"),
    ({"layers": "conv,norm"}, "--adapter_layers 'conv,norm'"), ({"layers": ""}, "is not a list of conv, attention, linear")])
def test_settings_that_make_no_sense(values, words):
    with pytest.raises(UsageError, match=words):
        AdapterConfig(**values)


@pytest.mark.parametrize("harm", ["denoisingUNet.out.2.adapter_up", "denoisingUNet.out.2.weight", "shape"])
def test_factors_without_their_layer_are_refused(harm):
    net = network()
    add_adapters(net, CONFIG)
    tensors = net.state_dict()
    if harm == "shape":
        tensors["denoisingUNet.out.2.adapter_down"] = torch.zeros(3, 5, 3, 3)
    else:
        del tensors[harm]
    with pytest.raises(RigError, match=r"adapter of me does not fit its base model at the layer denoisingUNet\.out\.2"):
        merged(tensors, CONFIG, "adapter of me")
