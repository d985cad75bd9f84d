"""Published checkpoints: strict names and shapes, and numbers equal to the published formulas in float64."""

from __future__ import annotations

import math

import pytest
import torch
from small_unifr import WORDS, inputs, small, words
from torch.nn.functional import gelu, layer_norm

from diffusionrig.errors import RigError
from diffusionrig.reactions.generators.unifr.attention import Places
from diffusionrig.reactions.generators.unifr.inputs import OWN
from diffusionrig.reactions.generators.unifr.network import positions
from diffusionrig.reactions.generators.unifr.released import from_published

WIDTH, LAYERS, HEADS, FRAMES, CHUNK = 12, 2, 2, 4, 2
FEATURES = {"s_exp": "exp", "s_AU": "AU", "s_VA": "VA", "s_pose": "pose", "s_MFCC": "sound", "s_GeMAPfunc": "functionals",
            "s_GeMAPlld": "descriptors"}


def published_state() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    shapes = {}
    wide = {"s_exp": 4, "s_AU": 4, "s_VA": 4, "s_GeMAPfunc": 6, "s_GeMAPlld": 6}
    for name, ours in FEATURES.items():
        shapes[f"{name}_proj.weight"] = (wide.get(name, WIDTH), OWN[ours])
        shapes[f"{name}_proj.bias"] = (wide.get(name, WIDTH),)
    for name, count in WORDS.items():
        shapes[f"l_{name}_emb.weight"] = shapes[f"head_{name}.weight"] = (count, WIDTH)
        shapes[f"l_{name}_me"] = (1, 1, WIDTH)
    for name in ("token_slm", "s_face_me", "s_pose_me", "s_MFCC_me", "s_GeMAPS_me", "s_no_face"):
        shapes[name] = (1, 1, WIDTH)
    shapes |= {"l_mask": (1, 1, 1, WIDTH), "head_slm.weight": (2, WIDTH), "ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
    for i in range(LAYERS):
        for name in ("ln1", "ln2"):
            shapes |= {f"blocks.{i}.{name}.weight": (WIDTH,), f"blocks.{i}.{name}.bias": (WIDTH,)}
        for name in ("bi_attn", "cas_attn"):
            for part in ("key", "query", "value", "c_proj"):
                shapes |= {f"blocks.{i}.{name}.{part}.weight": (WIDTH, WIDTH), f"blocks.{i}.{name}.{part}.bias": (WIDTH,)}
        shapes |= {f"blocks.{i}.mlp.c_fc.weight": (4 * WIDTH, WIDTH), f"blocks.{i}.mlp.c_fc.bias": (4 * WIDTH,),
                   f"blocks.{i}.mlp.c_proj.weight": (WIDTH, 4 * WIDTH), f"blocks.{i}.mlp.c_proj.bias": (WIDTH,)}
    state = {name: torch.randn(shape, generator=random, dtype=torch.float64) * 0.4 for name, shape in shapes.items()}
    state["time_emb"] = positions(torch.arange(6 * FRAMES + 1), WIDTH)[None]
    state["blocks.0.cas_attn.causal_mask"] = torch.zeros(1, 1, 25, 25, dtype=torch.bool)
    return state


def published_logits(p: dict[str, torch.Tensor], seen: dict, told: torch.Tensor, causal: bool) -> torch.Tensor:
    """Action units by the formulas of the publication, the last chunk's words masked."""
    linear = lambda name, x: x @ p[f"{name}.weight"].T + p[f"{name}.bias"]  # noqa: E731
    norm = lambda name, x: layer_norm(x, (WIDTH,), p[f"{name}.weight"], p[f"{name}.bias"])  # noqa: E731
    face = torch.cat([linear(f"{name}_proj", seen[FEATURES[name]]) for name in ("s_exp", "s_AU", "s_VA")], -1)
    rows = [torch.where(seen["face"][..., None], face, p["s_no_face"]) + p["s_face_me"],
            linear("s_pose_proj", seen["pose"]) + p["s_pose_me"], linear("s_MFCC_proj", seen["sound"]) + p["s_MFCC_me"]]
    known = (torch.arange(FRAMES) < FRAMES - CHUNK)[None, :, None]
    for i, name in enumerate(WORDS):
        rows.append(torch.where(known, p[f"l_{name}_emb.weight"][told[..., i]], p["l_mask"][0]) + p[f"l_{name}_me"])
    x = torch.stack(rows, 2).flatten(1, 2)
    if not causal:
        sound = torch.cat([linear("s_GeMAPfunc_proj", seen["functionals"]), linear("s_GeMAPlld_proj", seen["descriptors"])], -1)
        x = torch.cat([x, sound[:, None] + p["s_GeMAPS_me"]], 1)
    n = x.shape[1]
    x = x + positions(torch.arange(n), WIDTH)
    hidden = torch.zeros(n, n, dtype=torch.bool)
    if causal:
        hidden = torch.ones(n, n, dtype=torch.bool).triu(1)
        listener = torch.arange(n) % 6 >= 3
        hidden[listener], hidden[:, listener] = True, True
        for start in range(0, n, 6 * CHUNK):
            hidden[start:start + 6 * CHUNK, start:start + 6 * CHUNK] = False
    for i in range(LAYERS):
        name = f"blocks.{i}.{'cas' if causal else 'bi'}_attn"
        y = norm(f"blocks.{i}.ln1", x)
        q, k, v = (linear(f"{name}.{part}", y).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in ("query", "key", "value"))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)).masked_fill(hidden, -torch.inf).softmax(-1)
        x = x + linear(f"{name}.c_proj", (weights @ v).transpose(1, 2).flatten(2))
        x = x + linear(f"blocks.{i}.mlp.c_proj", gelu(linear(f"blocks.{i}.mlp.c_fc", norm(f"blocks.{i}.ln2", x))))
    x = norm("ln_f", x)
    return x[:, 0 if causal else 3:6 * FRAMES:6] @ p["head_AU.weight"].T


@pytest.mark.parametrize("causal", [False, True])
def test_published_weights_give_the_published_numbers(causal):
    state, network = published_state(), small().double()
    from_published(state, network, "released")
    seen = {name: value if value.dtype == torch.bool else value.double() for name, value in inputs(2, FRAMES).items()}
    told = words(2, FRAMES)
    shown = (torch.arange(FRAMES) < FRAMES - CHUNK)[None, :, None].expand(2, FRAMES, 3)
    listener = network.listener_tokens(told, shown)
    if causal:
        tokens = torch.cat([network.speaker_tokens(seen), listener], -2).flatten(1, 2)
        states, _ = network.causal(tokens, Places.of_frames(0, FRAMES, asking=False), CHUNK)
        ours = network.words_online(states)["AU"]
    else:
        ours = network.words_offline(network.offline(seen, listener))["AU"]
    torch.testing.assert_close(ours, published_logits(state, seen, told, causal), rtol=1e-9, atol=1e-9)


def test_what_does_not_fit_is_named():
    state = published_state()
    del state["blocks.1.cas_attn.key.bias"]
    with pytest.raises(RigError, match=r"1 missing \(blocks.1.causal.qkv.bias\)"):
        from_published(state, small(), "released")
    with pytest.raises(RigError, match=r"1 extra \(s_smell_proj.weight\)"):
        from_published({**published_state(), "s_smell_proj.weight": torch.zeros(1)}, small(), "released")
    with pytest.raises(RigError, match="positions in released are not the sinusoids"):
        from_published({**published_state(), "time_emb": torch.zeros(1, 25, WIDTH)}, small(), "released")
