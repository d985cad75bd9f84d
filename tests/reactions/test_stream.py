"""The streaming generator: causality, the cache against the parallel pass, noise and steps, personal shifts."""

import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from diffusionrig.errors import UsageError
from diffusionrig.reactions.corpus import ClipId
from diffusionrig.reactions.features.logmel import FLOOR
from diffusionrig.reactions.generators.clips import AUDIO
from diffusionrig.reactions.generators.stream.blocks import PersonalLinear, turn
from diffusionrig.reactions.generators.stream.generator import Stream, StreamGenerator
from diffusionrig.reactions.generators.stream.network import SEEN, SHOWN, StreamNetwork, angles, step_down
from diffusionrig.reactions.generators.stream.past import Past
from diffusionrig.reactions.generators.stream.settings import StreamSettings
from diffusionrig.reactions.generators.stream.task import spread_of_rests
from diffusionrig.reactions.interface import ListenerHistory, SpeakerClip
from diffusionrig.reactions.live.lines import read_frames
from diffusionrig.reactions.live.listening import converse

SMALL = StreamSettings(width=16, layers=2, heads=2, patch=3, person=4, rank=2, steps=3, memory=0, temperature=1.0, guidance=1.0)
FRAMES = 11  # a last patch of two


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = StreamNetwork(SMALL).eval()
    for parameter in network.parameters():  # zero layers too: a new network ignores most of what it is told
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return network


def speaker(seed=0, frames=FRAMES):
    random = np.random.default_rng(seed)
    return SpeakerClip("NoXI/s/P1/1", random.random((frames, 25), np.float32), random.random((frames, 58), np.float32),
                       {AUDIO: random.random((frames, 26), np.float32)})


def history(seed=3):
    random = np.random.default_rng(seed)
    return ListenerHistory("NoXI/s/P2", [random.random((9, 25), np.float32)], [random.random((9, 58), np.float32)])


def generate(network, clip, listener=None, k=2, seed=0):
    return StreamGenerator(network, torch.device("cpu")).generate(clip, listener, k, seed, "online")


@pytest.mark.parametrize("from_frame", [0, 4, 8, 10])
def test_what_the_speaker_shows_later_changes_nothing_before(network, from_frame):
    clip = speaker()
    emotion = clip.emotion.copy()
    emotion[from_frame:] = 1 - emotion[from_frame:]
    first, second = generate(network, clip), generate(network, dataclasses.replace(clip, emotion=emotion))
    assert np.array_equal(first.emotion[:, :from_frame + 1], second.emotion[:, :from_frame + 1])
    if from_frame == 4:
        assert not np.allclose(first.emotion[:, 7:], second.emotion[:, 7:])


def test_every_frame_is_made_and_lies_in_its_range(network):
    made = generate(network, speaker())
    assert made.emotion.shape == (2, FRAMES, 25)
    assert made.coefficients.shape == (2, FRAMES, 58)
    assert made.emotion[..., :15].min() >= 0
    assert made.emotion[..., :15].max() <= 1
    assert abs(made.emotion[..., 15:17]).max() <= 1
    np.testing.assert_allclose(made.emotion[..., 17:].sum(-1), 1, rtol=1e-5)


def test_a_sample_depends_on_clip_number_and_seed_alone(network):
    three, one = generate(network, speaker(), k=3), generate(network, speaker(), k=1)
    np.testing.assert_allclose(three.coefficients[:1], one.coefficients, atol=1e-5)
    assert not np.allclose(three.coefficients[0], three.coefficients[1], atol=1e-3)
    assert not np.allclose(generate(network, speaker(), k=1, seed=1).coefficients, one.coefficients, atol=1e-3)


@pytest.mark.parametrize("memory", [0, 3])
def test_patch_after_patch_equals_all_patches_at_once(network, memory):
    """One step at a fixed angle: the cached path and the one that is trained give the same velocities."""
    torch.manual_seed(1)
    network.settings = dataclasses.replace(SMALL, memory=memory)
    clean, noisy, seen = torch.randn(2, FRAMES, SHOWN), torch.randn(2, FRAMES, SHOWN), torch.randn(2, FRAMES, SEEN)
    traits, phi = torch.randn(2, 2 * SHOWN), 0.7
    heard = network.heard(seen)
    together = network.velocity(clean, noisy, torch.full((2, FRAMES), phi), heard, traits, torch.zeros(2, dtype=torch.bool))
    person, parts = network.person(traits), []
    stream = Stream(network, traits[0], "clip", 2, 0)
    for start in range(0, FRAMES, SMALL.patch):
        rows = slice(start, start + SMALL.patch)
        parts.append(network.run(noisy[:, rows], phi, heard[:, rows], person, start, stream.past))
        network.run(clean[:, rows], 0.0, heard[:, rows], person, start, stream.past)
        stream.past.grow(SMALL.patch)
    torch.testing.assert_close(torch.cat(parts, 1), together, rtol=1e-4, atol=1e-4)


def test_a_noisy_frame_sees_its_own_patch_and_the_clean_ones_within_memory(network):
    network.settings = dataclasses.replace(SMALL, memory=3)
    mask = network.mask(FRAMES, torch.device("cpu"))
    noisy_of_last, clean = mask[FRAMES + 9], torch.arange(FRAMES)
    assert clean[noisy_of_last[:FRAMES]].tolist() == [6, 7, 8]
    assert clean[noisy_of_last[FRAMES:]].tolist() == [9, 10]


def test_a_true_velocity_steps_down_to_the_clean_frame():
    clean, noise = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 5, dtype=torch.float64)
    x = noise.clone()
    grid = angles(4)
    assert grid[0] == pytest.approx(math.pi / 2)
    assert grid[-1] == 0
    for phi, lower in itertools.pairwise(grid):
        torch.testing.assert_close(x, math.cos(phi) * clean + math.sin(phi) * noise)
        x = step_down(x, math.cos(phi) * noise - math.sin(phi) * clean, phi, lower)
    torch.testing.assert_close(x, clean)


def test_rotary_positions_make_products_depend_on_distances():
    q, k = torch.randn(1, 1, 1, 8, dtype=torch.float64), torch.randn(1, 1, 1, 8, dtype=torch.float64)

    def product(i, j):
        return float((turn(q, torch.tensor([i])) * turn(k, torch.tensor([j]))).sum())

    assert product(3, 1) == pytest.approx(product(103, 101), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(4, 1), abs=1e-4)


def test_a_new_layer_is_shifted_by_nobody_and_rows_are_shifted_each_by_its_own_person():
    layer = PersonalLinear(6, 5, 2, 3).double()
    x, person = torch.randn(2, 4, 6, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    torch.testing.assert_close(layer(x, person), layer.weight(x))
    torch.nn.init.normal_(layer.up.weight)
    for row in range(2):
        gate = layer.gate.weight @ person[row]
        weight = layer.weight.weight + layer.up.weight @ torch.diag(gate) @ layer.down.weight
        torch.testing.assert_close(layer(x, person)[row], x[row] @ weight.T + layer.weight.bias)


def test_who_listens_matters_only_when_it_is_told(network):
    nobody, person = generate(network, speaker()), generate(network, speaker(), history())
    empty = generate(network, speaker(), ListenerHistory("x"))
    assert np.array_equal(nobody.emotion, empty.emotion)
    assert not np.allclose(nobody.coefficients, person.coefficients, atol=1e-3)


def test_live_equals_generating_at_once(network):
    clip = speaker(frames=9)
    lines = [" ".join(map(str, row)) for row in np.concatenate([clip.emotion, clip.coefficients], 1)]
    made = StreamGenerator(network, torch.device("cpu"))
    answers = list(converse(made.live(clip.name, 3), read_frames(lines)))
    assert [answer.first for answer in answers] == [0, 3, 6, 9]
    silent = dataclasses.replace(clip, audio={AUDIO: np.full((9, 26), np.log(FLOOR), np.float32)})
    whole = made.generate(silent, None, 2, 3, "online")
    for name in ("emotion", "coefficients"):
        live = np.concatenate([getattr(answer, name) for answer in answers])[:9]
        np.testing.assert_allclose(live, getattr(whole, name)[0], atol=1e-5)


def test_guidance_leads_away_from_the_unspoken(network):
    plain = generate(network, speaker())
    network.settings = dataclasses.replace(SMALL, guidance=2.0)
    strong = generate(network, speaker())
    assert np.allclose(strong.coefficients[:, :3], plain.coefficients[:, :3], atol=1e-4)  # nothing was heard yet
    assert not np.allclose(strong.coefficients[:, 3:], plain.coefficients[:, 3:], atol=1e-3)


def test_guidance_is_the_plain_answer_where_hearing_changes_nothing(network):
    for parameter in (*network.speaker.parameters(), *network.story.parameters()):
        parameter.data.zero_()
    plain = generate(network, speaker())
    network.settings = dataclasses.replace(SMALL, guidance=3.0)
    np.testing.assert_allclose(generate(network, speaker()).coefficients, plain.coefficients, atol=1e-4)


def test_what_was_heard_does_not_depend_on_how_it_is_cut(network):
    seen, story, parts = torch.randn(2, FRAMES, SEEN), None, []
    whole, _ = network.listen(seen)
    for rows in (slice(0, 3), slice(3, 4), slice(4, FRAMES)):
        part, story = network.listen(seen[:, rows], story)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


def test_the_rest_of_a_person_is_trusted_as_far_as_clips_tell_people_apart(network):
    network.between.fill_(3.0)
    network.within.fill_(1.0)
    clips = [torch.full((5, SHOWN), 2.0), torch.full((7, SHOWN), 4.0)]
    clips[0][0] = 100.0  # a passing expression
    for count in (1, 2):
        traits = network.describe(clips[:count])
        middle = torch.stack([clip.median(0).values for clip in clips[:count]]).mean()
        torch.testing.assert_close(network.rest(traits), (3 / (3 + 1 / count) * middle).expand(SHOWN))
    assert not network.rest(torch.zeros(2 * SHOWN)).any()


def test_the_spread_of_rests_finds_what_differs_between_people_and_between_their_clips():
    random = torch.Generator().manual_seed(0)

    class People:
        """40 people with 5 clips each: people apart by 2, the clips of one by 0.5 (standard deviations)."""

        def __init__(self):
            means = {f"s{person}": 2 * torch.randn(SHOWN, generator=random) for person in range(40)}
            self.made = {ClipId("NoXI", session, "P2", str(clip)): mean + 0.5 * torch.randn(SHOWN, generator=random)
                         for session, mean in means.items() for clip in range(5)}
            self.split = SimpleNamespace(items=[SimpleNamespace(listener=clip) for clip in self.made])

        def clips(self, clip):
            frames = self.made[clip].expand(4, -1)
            return SimpleNamespace(emotion=frames[:, :25], coefficients=frames[:, 25:])

    between, within = spread_of_rests(People(), torch.zeros(SHOWN), torch.ones(SHOWN))
    assert between.mean() == pytest.approx(4, rel=0.1)
    assert within.mean() == pytest.approx(0.25, rel=0.1)


@pytest.mark.parametrize("memory", [None, 6])
def test_what_is_kept_in_place_is_what_was_joined(memory):
    """Of 40 patches, each written twice, the last ones are seen; room for a memory does not grow."""
    past, whole = Past(memory), torch.randn(2, 1, 2, 120, 4)
    rooms = set()
    for start in range(0, 120, 3):
        rows = slice(start, start + 3)
        for layer in (0, 1):
            past.joined(layer, torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
            keys, values = past.joined(layer, *whole[:, :, :, rows] + layer)
            first = 0 if memory is None else max(0, start - memory)
            assert torch.equal(torch.stack([keys, values]), whole[:, :, :, first:start + 3] + layer)
        past.grow(3)
        assert len(past) == min(start + 3, memory or 120)
        rooms.add(past._room)
    assert max(rooms) <= (4 * 9 if memory else 4 * 120)


def test_a_clip_is_told_how_far_it_has_come(network):
    """Equal frames after equal pasts are answered differently at different places: attention alone would not tell."""
    frames, heard, person = torch.randn(1, 3, SHOWN), torch.zeros(1, 3, SMALL.width), torch.zeros(1, SMALL.person)
    early, late = (network.run(frames, 0.5, heard, person, start, Past()) for start in (0, 30))
    assert not torch.allclose(early, late, atol=1e-3)


@pytest.mark.parametrize(("change", "sentence"), [({"width": 18}, "multiple of twice"), ({"drop_past": 1.0}, "is a share in"),
                                                  ({"steps": 0}, "steps must be 1 or more")])
def test_settings_that_cannot_be_are_named(change, sentence):
    with pytest.raises(UsageError, match=sentence):
        dataclasses.replace(SMALL, **change)
