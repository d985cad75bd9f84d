"""The blocks of PerFRDiff against their formulas, in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.clips import Clip
from diffusionrig.reactions.generators.perfrdiff.denoiser import Denoiser
from diffusionrig.reactions.generators.perfrdiff.diffusion import guided, sampled, sampling_schedule
from diffusionrig.reactions.generators.perfrdiff.embedder import WindowVAE
from diffusionrig.reactions.generators.perfrdiff.person import averaged, contrastive_loss
from diffusionrig.reactions.generators.perfrdiff.prior import PriorNetwork, bucket
from diffusionrig.reactions.generators.perfrdiff.shifts import FullShift, LowRankShift, LowRankShifts
from diffusionrig.reactions.generators.perfrdiff.windows import joined, speaker_view, window_starts

WIDTH = 16


@pytest.fixture(autouse=True)
def _float64():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def denoiser(names=("audio", "face", "latent")):
    sizes = {"audio": 5, "face": 58, "emotion": 25, "latent": WIDTH, "prior": 7, "past": 25}
    return Denoiser(25, WIDTH, 2, 2, 24, 0.1, {name: sizes[name] for name in names}, 0.3, 60).eval()


def told(groups, samples=3):
    return {"audio": torch.randn(groups, 6, 5), "face": torch.randn(groups, 6, 58), "latent": torch.randn(groups, 1, WIDTH),
            "emotion": torch.randn(groups, 6, 25), "prior": torch.randn(groups, samples, 1, 7),
            "past": torch.randn(groups, samples, 4, 25)}


def by_torch(model, x, t, tokens):
    """One window (L, 25) through torch's own decoder with the same weights."""
    layers = []
    for layer in model.decoder.layers:
        one = nn.TransformerDecoderLayer(WIDTH, 2, 24, 0.0, "gelu", batch_first=True)
        one.load_state_dict(layer.state_dict())
        layers.append(one.eval())
    angles = t * torch.exp(-math.log(10000) * torch.arange(32) / 32)
    time = model.time_embedding.linear_2(F.silu(model.time_embedding.linear_1(torch.cat([angles.cos(), angles.sin()]))))
    rows = [time[None]]
    for name, places in (("audio", model.speaker_audio_proj), ("face", model.speaker_3dmm_proj)):
        rows.append(places(tokens[name]) * (0.3 if name == "audio" else 1.0))
    rows.append(tokens["latent"])
    for name, places in (("prior", "listener_latent_proj"), ("past", "listener_emotion_proj")):
        if name in model.conditions:
            rows.append(getattr(model, places)(tokens[name]))
    memory = torch.cat(rows)
    memory = (memory + model.mem_pos.pe[:len(memory), 0])[None]
    x = (model.to_emotion_embed(x) + model.query_pos.pe[:len(x), 0])[None]
    for layer in layers:
        x = layer(x, memory)
    return model.to_emotion_feat(model.decoder.norm(x))[0]


@pytest.mark.parametrize("names", [("audio", "face", "latent"), ("audio", "face", "latent", "prior", "past")])
def test_the_denoiser_equals_torchs_decoder_for_every_sample_of_every_group(names):
    model, tokens, x, t = denoiser(names), told(2), torch.randn(2, 3, 4, 25), torch.tensor([980, 20])
    made = model(x, t, model.memory({name: tokens[name] for name in names}))
    for group in range(2):
        for sample in range(3):
            own = {name: value[group, sample] if name in ("prior", "past") else value[group] for name, value in tokens.items()}
            # The time's sinusoids are made in float32.
            assert torch.allclose(made[group, sample], by_torch(model, x[group, sample], t[group], own), atol=2e-6)


def test_shifts_of_several_people_at_once_equal_one_network_for_each():
    model, tokens, x, t = denoiser(), told(2), torch.randn(2, 3, 4, 25), torch.tensor([500, 500])
    tokens = {name: tokens[name] for name in model.conditions}
    edited = ("0.cross", "1.cross", "output")
    shapes = model.shapes(edited)
    thin = {name: LowRankShift(torch.randn(2, rows, 3) * 0.3, torch.randn(2, columns, 3))
            for name, (rows, columns) in shapes.items()}
    full = {name: FullShift(shift.dense()) for name, shift in thin.items()}
    places = {"0.cross": "decoder.layers.0.multihead_attn.in_proj_weight",
              "1.cross": "decoder.layers.1.multihead_attn.in_proj_weight", "output": "to_emotion_feat.weight"}
    state = dict(model.named_parameters())
    for shifts in (thin, full):
        made = model(x, t, model.memory(tokens, None, shifts), shifts)
        for group in range(2):
            changed = {place: state[place] + shifts[name].dense()[group] for name, place in places.items()}
            rows = slice(group, group + 1)

            class One(nn.Module):
                def __init__(self):
                    super().__init__()
                    self.model = model

                def forward(self, x, t, tokens):
                    return self.model(x, t, self.model.memory(tokens))

            alone = functional_call(One(), {f"model.{place}": value for place, value in changed.items()},
                                    (x[rows], t[rows], {name: value[rows] for name, value in tokens.items()}))
            assert torch.allclose(made[rows], alone, atol=1e-10)
    assert not torch.allclose(made, model(x, t, model.memory(tokens)), atol=1e-3)


def test_low_rank_shifts_are_zero_at_the_start_yet_learn():
    network = LowRankShifts(8, 16, 1, {"output": (25, 16)}, 4)
    shift = network(torch.randn(3, 8))["output"]
    assert torch.equal(shift.dense(), torch.zeros(3, 25, 16))
    shift(torch.randn(3, 5, 16)).sum().backward()
    assert network.up[0].weight.grad.abs().max() > 0


def test_conditions_that_are_dropped_are_zeros():
    model, tokens = denoiser(), told(2)
    tokens = {name: tokens[name] for name in model.conditions}
    x, t = torch.randn(2, 1, 4, 25), torch.tensor([100, 100])
    keep = {name: torch.tensor([0.0, 1.0]) for name in tokens}
    other = {name: torch.randn_like(value) for name, value in tokens.items()}
    made, again = (model(x, t, model.memory(values, keep)) for values in (tokens, other))
    assert torch.equal(made[0], again[0])
    assert torch.allclose(model(x, t, model.memory(tokens))[1], made[1])
    assert (made[1] - again[1]).abs().max() > 1e-3


def prior_by_definition(model, tokens):
    """The causal transformer token by token, attention written out."""
    x = tokens.clone()
    heads, head = 2, 8
    size = min(32, head)
    for attention, feed_forward in model.causal_transformer.layers:
        normed = (x - x.mean(-1, keepdim=True)) * (x.var(-1, unbiased=False, keepdim=True) + 1e-5).rsqrt() * attention.norm.g
        queries, (keys, values) = attention.to_q(normed), attention.to_kv(normed).chunk(2, -1)

        def turned(row, place):
            pairs = row[:size].reshape(-1, 2)
            angle = place * 10000.0 ** (-torch.arange(0, size, 2) / size)
            spun = torch.stack([pairs[:, 0] * angle.cos() - pairs[:, 1] * angle.sin(),
                                pairs[:, 1] * angle.cos() + pairs[:, 0] * angle.sin()], 1)
            return torch.cat([spun.flatten(), row[size:]])

        seen = []
        known = [F.normalize(key, dim=0) for key in (attention.null_kv[0], *(turned(key, place) for place, key in enumerate(keys)))]
        for place in range(len(x)):
            parts = []
            for index in range(heads):
                query = F.normalize(turned(queries[place, index * head:(index + 1) * head], place), dim=0)
                table = model.causal_transformer.rel_pos_bias.relative_attention_bias.weight
                bias = table[bucket(place - torch.arange(place + 2)), index]
                scores = 16 * torch.stack(known[:place + 2]) @ query + bias
                parts.append(scores.softmax(0) @ torch.cat([attention.null_kv[1:], values[:place + 1]]))
            seen.append(torch.cat(parts))
        x = x + attention.to_out(torch.stack(seen))
        x = x + feed_forward(x)
    return model.causal_transformer.project_out(model.causal_transformer.norm(x))


def test_the_prior_with_its_conditions_worked_out_once_equals_the_definition():
    model = PriorNetwork(WIDTH, 2, 2, 8, 5, 58, 9, 1).eval()
    tokens = {"audio": torch.randn(2, 9, 5), "latent": torch.randn(2, 1, WIDTH), "face": torch.randn(2, 9, 58)}
    x, t = torch.randn(2, 3, 1, WIDTH), torch.tensor([700, 20])
    made = model(x, t, model.prefix(tokens))
    told = torch.cat([model.to_audio_encodings(tokens["audio"]), tokens["latent"], model.to_speaker_3dmmenc(tokens["face"])], 1)
    for group, sample in ((0, 0), (1, 2)):
        angles = t[group] * torch.exp(-math.log(10000) * torch.arange(32) / 32)
        time = model.time_embed(torch.cat([angles.cos(), angles.sin()]))
        rows = torch.cat([told[group], time[None], x[group, sample], model.learned_query[None]])
        assert torch.allclose(made[group, sample, 0], prior_by_definition(model, rows)[-1], atol=5e-6)


def test_buckets_are_exact_up_to_15_and_end_at_31():
    assert bucket(torch.tensor([-1, 0, 1, 15])).tolist() == [0, 0, 1, 15]
    assert bucket(torch.tensor([16, 127, 500])).tolist() == [16, 31, 31]


def test_an_autoencoder_equals_its_cells():
    vae = WindowVAE(25, 58, 8, 6, 4)
    x = torch.randn(2, 5, 25)
    cell = nn.GRUCell(25, 8)
    cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in vae.x_rnn.rnn_f.state_dict().items()})
    state = torch.zeros(2, 8)
    for frame in x.unbind(1):
        state = cell(frame, state)
    assert torch.allclose(vae.encode(x), vae.fc_mu_enc(state))
    code = torch.randn(2, 6)
    made, first = vae.decode(code, 3), vae.fc_z_dec(code)
    state = vae.d_rnn.rnn_f(torch.cat([first, torch.zeros(2, 25)], 1))
    assert torch.allclose(made[:, 0], vae.d_out(vae.d_mlp(state)))
    state = vae.d_rnn.rnn_f(torch.cat([first, made[:, 0]], 1), state)
    assert torch.allclose(made[:, 1], vae.d_out(vae.d_mlp(state)))


def test_the_contrastive_loss_is_its_definition():
    codes, people = F.normalize(torch.randn(5, 4), dim=1), torch.tensor([0, 0, 1, 1, 2])
    terms = []
    for one, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
        scores = codes @ codes[one] / 0.07
        terms.append(-(scores[other] - torch.cat([scores[:one], scores[one + 1:]]).logsumexp(0)))
    assert torch.allclose(contrastive_loss(codes, people, 0.07), torch.stack(terms).mean())


def test_a_code_of_several_clips_has_length_one():
    codes = [torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])]
    assert torch.allclose(averaged(codes), torch.tensor([0.5, 0.5]).sqrt())


def test_sampling_begins_at_980_and_leaves_no_noise_but_as_published():
    schedule, compat = sampling_schedule(50), sampling_schedule(50, compat=True)
    assert schedule.timesteps.tolist() == list(range(0, 1000, 20))
    assert schedule.abar[0] == pytest.approx(0.99996, abs=2e-6)
    assert schedule.abar[-1] == pytest.approx(8.8e-4, abs=1e-5)
    x0, noise = torch.randn(1, 1, 4, 25).clamp(-1, 1), torch.randn(1, 1, 4, 25)
    assert torch.allclose(sampled(lambda x, t: x0, noise, schedule), x0)
    left = sampled(lambda x, t: x0, noise, compat) - x0 * math.sqrt(compat.abar[0])
    # Every prediction is x0, so the noise that stays is the starting noise, brought to the deviation of step 0.
    start = (noise - x0 * math.sqrt(compat.abar[-1])) / math.sqrt(1 - compat.abar[-1])
    assert torch.allclose(left, start * math.sqrt(1 - compat.abar[0]))
    assert math.sqrt(1 - compat.abar[0]) == pytest.approx(0.0064, abs=1e-4)


def test_guidance_goes_beyond_the_conditions_and_predictions_are_clipped():
    clean = guided(lambda x, t: x + 1, lambda x, t: x, 7.5)
    assert torch.allclose(clean(torch.zeros(2), torch.zeros(1)), torch.full((2,), 7.5))
    made = sampled(lambda x, t: torch.full_like(x, 9.0), torch.randn(1, 1, 2, 3), sampling_schedule(10), clip=1.0)
    assert torch.allclose(made, torch.ones(1, 1, 2, 3))


def test_windows_cover_every_frame_once():
    assert window_starts(128, 50) == [0, 50, 78]
    assert window_starts(100, 50) == [0, 50]
    frames = torch.arange(128.0)
    cut = torch.stack([frames[start:start + 50].view(1, 50, 1) for start in (0, 50, 78)])
    assert torch.equal(joined(cut, [0, 50, 78], 128)[0, :, 0], frames)
    with pytest.raises(UsageError, match="windows of 50; give longer clips"):
        window_starts(49, 50)


def test_a_view_never_holds_what_comes_later():
    clip = Clip(torch.rand(40, 25) + 1, torch.rand(40, 58) + 1, torch.rand(40, 26) + 1)
    for start in (0, 4, 16, 30):
        view = speaker_view(clip, start, 10, 2, True, hidden=True)
        known = view["known"].bool()
        assert view["emotion"].shape == (30, 25)
        assert torch.equal(view["emotion"][known], clip.emotion[max(start - 20, 0):start])
        assert view["face"][~known].abs().sum() == 0
        assert known.tolist() == [start - 20 + index in range(max(start - 20, 0), start) for index in range(30)]
        both = speaker_view(clip, start, 10, 2, True, hidden=False)
        assert torch.equal(both["audio"][20:], clip.audio[start:start + 10])
    assert np.array_equal(speaker_view(clip, 10, 10, 1, False, hidden=False)["face"], clip.coefficients[:10])
