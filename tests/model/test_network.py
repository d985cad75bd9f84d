"""Names, shapes and counts of the published network; conditioning; gradient checkpointing; learning."""

import dataclasses

import pytest
import torch

from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.process import GaussianDiffusion
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig, build_network

TINY = ModelConfig(image_size=32, num_channels=32, channel_mult="1,1", num_res_blocks=1, dropout=0.0)


def on_meta(**settings):
    with torch.device("meta"):
        return build_network(ModelConfig(**settings))


def inputs(batch=2, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, 3, size, size, generator=generator)
    return x, torch.arange(batch) * 100 + 7, torch.randn(batch, 9, size, size, generator=generator), \
        torch.randn(batch, 64, generator=generator)


def randomised(config, seed=0) -> DiffusionRig:
    """A network without the zero layers, so that every path shows in the output."""
    network = build_network(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return network


@pytest.mark.parametrize(("size", "total", "unet", "tensors"), [
    (64, 107_522_051, 96_312_707, 534),
    (128, 111_169_411, 99_960_067, 624),
    (256, 144_610_179, 133_400_835, 712),
    (512, 145_962_819, 134_753_475, 804),
])
def test_parameter_counts_are_the_published_ones(size, total, unet, tensors):
    network = on_meta(image_size=size)
    assert sum(p.numel() for p in network.parameters()) == total
    assert sum(p.numel() for p in network.denoisingUNet.parameters()) == unet
    assert sum(p.numel() for p in network.encoder.parameters()) == 11_209_344
    assert sum(b.numel() for b in network.buffers()) == 9_620
    assert len(network.state_dict()) == tensors


def test_resnet50_count():
    network = on_meta(encoder_type="resnet50")
    assert sum(p.numel() for p in network.parameters()) == 157_040_003
    assert network.encoder.layer4[2].conv3.weight.shape == (2048, 512, 1, 1)


def test_names_and_shapes_of_the_256_model():
    state = on_meta().state_dict()
    assert sum(name.startswith("denoisingUNet.") for name in state) == 590
    assert sum(name.startswith("encoder.") for name in state) == 122
    expected = {
        "time_embed.0.weight": (512, 128),
        "time_embed.2.bias": (512,),
        "input_blocks.0.0.weight": (128, 12, 3, 3),
        "input_blocks.7.0.skip_connection.weight": (256, 128, 1, 1),
        "input_blocks.13.0.emb_layers.1.weight": (1024, 512),
        "input_blocks.13.0.cond_emb_layers.1.weight": (1024, 64),
        "input_blocks.14.1.qkv.weight": (1536, 512, 1),
        "middle_block.1.proj_out.bias": (512,),
        "middle_block.2.out_layers.3.weight": (512, 512, 3, 3),
        "output_blocks.2.1.in_layers.2.weight": (512, 512, 3, 3),
        "output_blocks.5.0.in_layers.0.weight": (768,),
        "output_blocks.5.2.out_layers.0.bias": (512,),
        "output_blocks.17.0.in_layers.2.weight": (128, 256, 3, 3),
        "out.0.weight": (128,),
        "out.2.weight": (3, 128, 3, 3),
    }
    for name, shape in expected.items():
        assert state[f"denoisingUNet.{name}"].shape == shape, name
    for name, shape in {"conv1.weight": (64, 3, 7, 7), "layer2.0.downsample.0.weight": (128, 64, 1, 1),
                        "layer4.1.bn2.running_var": (512,), "fc.weight": (64, 512)}.items():
        assert state[f"encoder.{name}"].shape == shape, name
    for pattern, count in {"in_layers.2.weight": 42, "qkv.weight": 6, "skip_connection.weight": 20,
                           "cond_emb_layers.1.weight": 42}.items():
        assert sum(name.endswith(pattern) for name in state) == count, pattern
    floats = {tensor.dtype for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert floats == {torch.float32}
    assert state["encoder.bn1.num_batches_tracked"].dtype == torch.int64
    # Up and down blocks differ from plain ones by no parameter.
    assert set(dict(on_meta().denoisingUNet.input_blocks[3].named_parameters())) == \
        set(dict(on_meta().denoisingUNet.input_blocks[2].named_parameters()))


def test_only_the_stated_layers_start_at_zero():
    network = build_network(ModelConfig(image_size=32, num_channels=32, channel_mult="1,1"))
    zero = [name for name, p in network.named_parameters() if p.ndim > 1 and not p.any()]
    assert zero
    assert all(name.endswith(("out_layers.3.weight", "proj_out.weight", "out.2.weight")) for name in zero)
    expected = sum(name.endswith(("out_layers.3.weight", "proj_out.weight", "out.2.weight"))
                   for name, _ in network.named_parameters())
    assert len(zero) == expected


def test_convolutions_change_resolution_when_asked():
    names = set(on_meta(image_size=64, resblock_updown=False).state_dict())
    assert "denoisingUNet.input_blocks.3.0.op.weight" in names
    assert "denoisingUNet.output_blocks.2.1.conv.weight" in names
    assert not any("input_blocks.3.0.in_layers" in name for name in names)


@pytest.mark.parametrize("change", [
    {}, {"resblock_updown": False}, {"use_scale_shift_norm": False, "num_channels": 64}, {"learn_sigma": True},
    {"use_new_attention_order": True, "num_heads": 4}, {"num_head_channels": 8, "attention_resolutions": "32,16"},
    {"channel_mult": "0.5,1,2", "num_channels": 64}, {"encoder_type": "resnet50"}, {"use_checkpoint": True},
])
def test_every_setting_runs_and_each_input_matters(change):
    network = randomised(dataclasses.replace(TINY, **change)).eval()
    x, t, buffers, latent = inputs()
    out = network(x, t, buffers, latent)
    assert out.shape == (2, 6 if change.get("learn_sigma") else 3, 32, 32)
    for other in ((x + 1, t, buffers, latent), (x, t + 300, buffers, latent), (x, t, buffers + 1, latent),
                  (x, t, buffers, latent + 1)):
        assert (network(*other) - out).abs().max() > 1e-4


def test_latent_is_the_encoded_photograph():
    network = randomised(TINY).eval()
    x, t, buffers, _ = inputs()
    photo = inputs(seed=5)[0]
    latent = network.encode_cond(photo)
    assert latent.shape == (2, 64)
    torch.testing.assert_close(network(x, t, buffers, latent), network(x, t, buffers, x_start=photo))
    with pytest.raises(ValueError, match="detail_cond"):
        network(x, t, buffers)


def test_result_does_not_depend_on_the_batch_nor_on_memory_format():
    network = randomised(TINY).eval()
    x, t, buffers, latent = inputs(batch=3)
    together = network(x, t, buffers, latent)
    alone = torch.cat([network(x[i:i + 1], t[i:i + 1], buffers[i:i + 1], latent[i:i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)
    channels_last = network.to(memory_format=torch.channels_last)
    seen = []
    for block in channels_last.denoisingUNet.input_blocks:
        block.register_forward_hook(lambda module, args, out: seen.append(out))
    result = channels_last(x.contiguous(memory_format=torch.channels_last), t, buffers, latent)
    torch.testing.assert_close(result, together, atol=2e-6, rtol=1e-5)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in seen)


def test_norm_groups_change_no_name_and_no_shape_but_the_result():
    published, narrow = (build_network(dataclasses.replace(TINY, norm_groups=groups)) for groups in (32, 8))
    shapes = [{name: tensor.shape for name, tensor in network.state_dict().items()} for network in (published, narrow)]
    assert shapes[0] == shapes[1]
    norms = [module for module in narrow.denoisingUNet.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert {module.num_groups for module in norms} == {8}
    # What the groups are for: a constant added to one channel of a 32-channel map survives the norm.
    norm = narrow.denoisingUNet.out[0]
    x = torch.randn(1, norm.num_channels, 8, 8, generator=torch.Generator().manual_seed(0))
    raised = x.clone()
    raised[:, 0] += 1
    assert (norm(raised)[:, 0].mean() - norm(x)[:, 0].mean()) > 0.2


def test_same_seed_same_weights_and_no_global_draw():
    before = torch.get_rng_state()
    one, two, other = build_network(TINY, 3), build_network(TINY, 3), build_network(TINY, 4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    assert not torch.equal(one.encoder.conv1.weight, other.encoder.conv1.weight)


def test_checkpointing_gives_the_same_gradients_with_dropout():
    gradients = []
    saved_bytes = []
    for flag in (False, True):
        network = randomised(dataclasses.replace(TINY, use_checkpoint=flag, dropout=0.3))
        x, t, buffers, latent = inputs()
        kept = []
        torch.manual_seed(0)

        def keep(tensor, kept=kept):
            kept.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = network(x, t, buffers, latent).square().mean()
        loss.backward()
        gradients.append([p.grad for p in network.denoisingUNet.parameters()])
        saved_bytes.append(sum(kept))
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in zip(*gradients))
    assert saved_bytes[1] < 0.5 * saved_bytes[0]


@pytest.mark.parametrize(("diffusion", "learn_sigma"), [
    (DiffusionConfig(p2_weight=True), False), (DiffusionConfig(p2_weight=True), True),
    (DiffusionConfig(predict_xstart=True), False), (DiffusionConfig(predict_v=True), False),
    (DiffusionConfig(use_kl=True), True),
])
def test_a_tiny_network_learns(diffusion, learn_sigma):
    network = build_network(dataclasses.replace(TINY, image_size=16, learn_sigma=learn_sigma)).train()
    process = GaussianDiffusion(diffusion)
    generator = torch.Generator().manual_seed(1)
    image = torch.nn.functional.avg_pool2d(torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1, 5, 1, 2)
    buffers = image.repeat(1, 3, 1, 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    noise = torch.randn(image.shape, generator=generator)
    index = torch.tensor([100, 300, 500, 800])
    history = []
    for _ in range(10):
        terms = process.training_loss(lambda x, t: network(x, t, buffers, x_start=image), image, index, noise)
        loss = terms["loss"].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0], history
