"""Blocks against their formulas, written out in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from diffusionrig.model.blocks import AttentionBlock, GroupNorm, ResBlock, timestep_embedding


def randomise(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return module


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def group_norm(x, weight, bias):
    """Group normalisation from its definition: 32 groups, eps 1e-5."""
    groups = x.reshape(x.shape[0], 32, -1)
    mean, variance = groups.mean(2, keepdim=True), groups.var(2, unbiased=False, keepdim=True)
    normed = ((groups - mean) / torch.sqrt(variance + 1e-5)).reshape(x.shape)
    return normed * weight[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("resample", ["", "up", "down"])
@pytest.mark.parametrize("scale_shift", [True, False])
def test_res_block(resample, scale_shift):
    block = randomise(ResBlock(32, 64, 20, 12, 0.4, scale_shift, resample).double()).eval()
    x, e, z = normal(2, 32, 6, 4), normal(2, 20, seed=2), normal(2, 12, seed=3)
    silu = lambda v: v * torch.sigmoid(v)  # noqa: E731
    p = dict(block.named_parameters())

    def resampled(v):
        if resample == "up":
            return v.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if resample == "down":
            return v.reshape(*v.shape[:2], v.shape[2] // 2, 2, v.shape[3] // 2, 2).mean((3, 5))
        return v

    h = resampled(silu(group_norm(x, p["in_layers.0.weight"], p["in_layers.0.bias"])))
    h = F.conv2d(h, p["in_layers.2.weight"], p["in_layers.2.bias"], padding=1)
    time = (silu(e) @ p["emb_layers.1.weight"].T + p["emb_layers.1.bias"])[:, :, None, None]
    look = (silu(z) @ p["cond_emb_layers.1.weight"].T + p["cond_emb_layers.1.bias"])[:, :, None, None]
    if scale_shift:
        h = group_norm(h, p["out_layers.0.weight"], p["out_layers.0.bias"])
        h = h * (1 + time[:, :64]) + time[:, 64:]
        h = h * (1 + look[:, :64]) + look[:, 64:]
    else:
        h = group_norm(h + time + look, p["out_layers.0.weight"], p["out_layers.0.bias"])
    h = F.conv2d(silu(h), p["out_layers.3.weight"], p["out_layers.3.bias"], padding=1)
    skip = F.conv2d(resampled(x), p["skip_connection.weight"], p["skip_connection.bias"])
    torch.testing.assert_close(block(x, e, z), skip + h, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("heads", [1, 4])
@pytest.mark.parametrize("new_order", [False, True])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_attention(heads, new_order, memory_format):
    channels, per_head = 32, 32 // heads
    block = randomise(AttentionBlock(channels, heads, new_order).double())
    x = normal(2, channels, 5, 3).contiguous(memory_format=memory_format)
    p = dict(block.named_parameters())
    tokens = group_norm(x, p["norm.weight"], p["norm.bias"]).flatten(2)
    qkv = F.conv1d(tokens, p["qkv.weight"], p["qkv.bias"])
    mixed = torch.empty_like(tokens)
    for head in range(heads):
        span = slice(head * per_head, (head + 1) * per_head)
        if new_order:
            q, k, v = (part[:, span] for part in qkv.chunk(3, dim=1))
        else:
            q, k, v = qkv[:, 3 * head * per_head:3 * (head + 1) * per_head].chunk(3, dim=1)
        scores = torch.einsum("bct,bcs->bts", q * per_head**-0.25, k * per_head**-0.25)
        mixed[:, span] = torch.einsum("bts,bcs->bct", scores.softmax(-1), v)
    expected = x + F.conv1d(mixed, p["proj_out.weight"], p["proj_out.bias"]).reshape(x.shape)
    torch.testing.assert_close(block(x), expected, atol=1e-11, rtol=1e-11)


def test_attention_orders_agree_with_one_head_only():
    x = normal(1, 32, 4, 4)
    results = {(heads, order): randomise(AttentionBlock(32, heads, order).double())(x)
               for heads in (1, 2) for order in (False, True)}
    torch.testing.assert_close(results[1, False], results[1, True], atol=0, rtol=0)
    assert (results[2, False] - results[2, True]).abs().max() > 1e-3


def test_dropout_acts_only_before_the_second_convolution():
    block = randomise(ResBlock(32, 32, 8, 4, 0.999, True).float()).train()
    x, e, z = normal(1, 32, 8, 8).float(), normal(1, 8).float(), normal(1, 4).float()
    torch.manual_seed(0)
    dropped = block(x, e, z) - x - block.out_layers[3].bias[:, None, None]
    assert (dropped == 0).float().mean() > 0.1  # nearly everything is dropped: nothing but the bias is left there
    block.eval()
    assert (block(x, e, z) - x - block.out_layers[3].bias[:, None, None]).abs().min() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_group_norm_of_half_precision_is_computed_in_float32(dtype):
    norm = randomise(GroupNorm(64).float())
    x = (normal(2, 64, 8, 8).float() * 100 + 500).to(dtype)
    out = norm(x)
    assert out.dtype == dtype
    exact = group_norm(x.double(), norm.weight.double(), norm.bias.double())
    torch.testing.assert_close(out.double(), exact, atol=0.01, rtol=torch.finfo(dtype).eps)
    assert norm.to(dtype)(x).dtype == dtype


def test_timestep_embedding():
    embedded = timestep_embedding(torch.tensor([0.0, 1.0, 37.5, 999.0]), 64)
    assert embedded.dtype == torch.float32
    for row, t in zip(embedded, (0.0, 1.0, 37.5, 999.0)):
        for k in (0, 1, 17, 31):
            angle = t * math.exp(-math.log(10000) * k / 32)
            assert row[k].item() == pytest.approx(math.cos(angle), abs=2e-4)
            assert row[32 + k].item() == pytest.approx(math.sin(angle), abs=2e-4)
    assert torch.equal(timestep_embedding(torch.tensor([3]), 64), timestep_embedding(torch.tensor([3.0]), 64))
    odd = timestep_embedding(torch.tensor([3]), 7)
    assert odd.shape == (1, 7)
    assert odd[0, -1] == 0
