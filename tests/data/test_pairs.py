"""Samples of the reference condition: a function of (seed, n) alone, from the right records, and true."""

from __future__ import annotations

import collections
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from reference_stores import SIZE, album, edits, singles
from store_fakes import FakeHead, publish
from torch import Tensor

from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.pairs import ODDS, PARTS, PLAIN, Examples, PairMaker, features, mirrored_condition
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.model.config import CHANGE, PICTURE, REFERENCE_CHANNELS
from diffusionrig.randomness import torch_stream
from diffusionrig.render.carrying import carry
from diffusionrig.render.condition import reference_condition
from diffusionrig.render.layers import split_layers
from diffusionrig.render.posing import pose_heads


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="module")
def single(folder, head) -> FaceStoreDataset:
    return FaceStoreDataset(singles(folder), None, head)


@pytest.fixture(scope="module")
def edited(folder, head) -> FaceStoreDataset:
    return FaceStoreDataset(edits(folder), None, head)


@pytest.fixture(scope="module")
def person(folder, head) -> FaceStoreDataset:
    return FaceStoreDataset(album(folder), None, head)


@pytest.fixture(scope="module")
def maker(single, edited, head) -> PairMaker:
    return PairMaker([single, edited], head, seed=4)


def assert_same(a: Examples, b: Examples, atol: float = 2e-3) -> None:
    """But for a pixel in a hundred thousand or so, where rounding decides between two surfaces."""
    assert torch.equal(a.records, b.records)
    for name in ("condition", "truth", "weight"):
        apart = (getattr(a, name) - getattr(b, name)).abs() > atol
        assert apart.float().mean() < 1e-4, name


def test_shapes_and_ranges(maker):
    made = maker.make(range(6))
    assert made.condition.shape == (6, REFERENCE_CHANNELS, SIZE, SIZE)
    assert made.truth.shape == (6, 3, SIZE, SIZE)
    assert made.weight.shape == (6, 1, SIZE, SIZE)
    assert made.truth.abs().max() <= 1
    assert made.condition[:, PICTURE].abs().max() <= 1
    assert made.condition[:, CHANGE].min() >= 0
    assert made.condition[:, CHANGE].max() <= 1
    assert (made.weight >= 0).all()
    for tensor in (made.condition, made.truth, made.weight):
        assert tensor.isfinite().all()


def test_a_sample_depends_on_its_number_alone(maker, single, edited, head):
    whole = maker.make(range(8))
    pieces = [maker.make([sample]) for sample in range(8)]
    backwards = PairMaker([single, edited], head, seed=4).make(list(range(8))[::-1])
    assert_same(whole, Examples(*(torch.cat([getattr(piece, field.name) for piece in pieces])
                                  for field in dataclasses.fields(Examples))))
    assert_same(whole, Examples(*(getattr(backwards, field.name).flip(0) for field in dataclasses.fields(Examples))))
    # The very same batch is the same to the bit: runs that go on see it again.
    again = maker.make(range(8))
    assert torch.equal(whole.condition, again.condition)
    assert torch.equal(whole.truth, again.truth)


def test_other_seeds_and_numbers_are_other_samples(maker, single, edited, head):
    other = PairMaker([single, edited], head, seed=5)
    assert [maker.choose(n) for n in range(20)] != [other.choose(n) for n in range(20)]
    assert len({maker.choose(n) for n in range(40)}) > 30


def test_shares_are_respected(single, edited, head):
    for shares, expected in (((3, 1), 0.75), ((0, 2), 0.0), ((), len(single) / (len(single) + len(edited)))):
        maker = PairMaker([single, edited], head, 1, shares)
        chosen = [maker.choose(n) for n in range(600)]
        assert np.mean([choice.store == 0 for choice in chosen]) == pytest.approx(expected, abs=0.06)


def test_every_record_is_shown_and_the_parts_as_often_as_said(single, head):
    maker = PairMaker([single], head, 2)
    chosen = [maker.choose(n) for n in range(1000)]
    assert collections.Counter(choice.record for choice in chosen) == dict.fromkeys(range(len(single)), 1000 // len(single))
    for parts, odds in zip(PARTS, ODDS):
        assert np.mean([choice.parts == parts for choice in chosen]) == pytest.approx(odds, abs=0.05)
    assert all(choice.partner is None for choice in chosen)  # nobody is there twice
    assert 0.4 <= min(choice.strength for choice in chosen) < max(choice.strength for choice in chosen) <= 1.1


def test_scenes_pair_within_a_scene_only(edited, head):
    fields = edited.fields()
    maker = PairMaker([edited], head, 4)
    chosen = [maker.choose(n) for n in range(600)]
    for choice in chosen:
        assert choice.scene
        assert choice.partner not in (None, choice.record)
        assert fields[choice.partner]["scene"] == fields[choice.record]["scene"]
        assert fields[choice.partner]["person"] == fields[choice.record]["person"]
    assert len({(choice.record, choice.partner) for choice in chosen}) == 3 * 3 * 2  # every ordered pair of three scenes of three
    # An edit is mostly shown beside the photograph it was made from, the first record of its scene.
    from_photograph = [choice.partner % 3 == 0 for choice in chosen if choice.record % 3]
    assert np.mean(from_photograph) == pytest.approx(PLAIN + (1 - PLAIN) / 2, abs=0.05)


def test_people_photographed_more_than_once_are_not_one_scene(person, head):
    maker = PairMaker([person], head, 3)
    assert all(maker.choose(n).partner is None for n in range(50))


def test_an_album_pairs_every_photograph_with_every_other(person, head):
    maker = PairMaker([person], head, 3, album=True)
    chosen = [maker.choose(n) for n in range(400)]
    pairs = [choice for choice in chosen if choice.partner is not None]
    assert {(choice.record, choice.partner) for choice in pairs} == {(a, b) for a in range(4) for b in range(4) if a != b}
    assert len(pairs) / len(chosen) == pytest.approx(0.7, abs=0.07)
    assert not any(choice.scene for choice in pairs)
    alone = PairMaker([person.only([2])], head, 3, album=True)
    assert all(alone.choose(n).partner is None for n in range(20))


def test_pairs_of_an_album_count_on_the_head_alone(person, head):
    maker = PairMaker([person], head, 3, album=True)
    numbers = [n for n in range(30) if maker.choose(n).partner is not None][:2]
    made = maker.make(numbers)
    heads = made.condition[:, 17:18]
    assert (made.weight[heads == 0] == 0).all()
    assert (made.weight[heads == 1] >= 4).all()


def test_shown_records_are_the_same_whatever_the_seed(single, edited, person, head):
    records = [0, 3, len(single), len(single) + 4]
    first, second = (PairMaker([single, edited], head, seed).make_records(records) for seed in (0, 99))
    assert torch.equal(first.records, torch.tensor(records))
    assert torch.equal(first.condition, second.condition)
    assert torch.equal(first.truth, second.truth)
    # They are shown as they are: neither mirrored nor in other colours.
    for row, (store, record) in enumerate(((single, 0), (single, 3), (edited, 0), (edited, 4))):
        assert torch.equal(first.truth[row], store.item(record).image.float() / 127.5 - 1)


def test_the_carried_partner_comes_nearer_to_the_truth_than_the_partner_itself(edited, head):
    maker = PairMaker([edited], head, 0)
    made = maker.make_records(range(len(edited)))
    gained = 0
    for record in range(len(edited)):
        choice = maker._choice(np.random.default_rng(0), 0, record)
        weight = made.weight[record]
        unchanged = edited.item(choice.partner or 0).image.float() / 127.5 - 1
        carried, still = (((picture - made.truth[record]).square() * weight).sum()
                          for picture in (made.condition[record, PICTURE], unchanged))
        gained += int(carried < still)
    assert gained >= 6  # of nine


def test_there_and_back_admits_what_was_lost(single, head):
    made = PairMaker([single], head, 0).make_records(range(len(single)))
    confidence, error = made.condition[:, 3:4], (made.condition[:, PICTURE] - made.truth).abs().mean(1, keepdim=True)
    on_head = made.condition[:, 17:18] > 0
    sure, unsure = on_head & (confidence > 0.9), on_head & (confidence < 0.0)
    assert sure.any()
    assert unsure.any()
    assert error[unsure].mean() > 2 * error[sure].mean()
    # What may not change is right already; beyond the head all stays as it was carried.
    fixed = ((made.condition[:, CHANGE] == 0) & on_head).expand_as(made.truth)
    assert (made.condition[:, PICTURE] - made.truth)[fixed].abs().mean() < 0.01


def mirror_code(head: HeadModel, code: FaceCode) -> FaceCode:
    other = [name.replace("Left", "#").replace("Right", "Left").replace("#", "Right") for name in head.expression_names]
    order = [list(head.expression_names).index(name) for name in other]
    turn = torch.tensor([1.0, -1, -1])
    light = code.light.clone()
    light[:, [1, 4, 5]] *= -1  # x, xy, xz
    return code.replace(expression=code.expression[:, order], pose=code.pose * turn.repeat(2), light=light,
                        eyes=code.eyes.view(-1, 2, 3).flip(1).reshape(-1, 6) * turn.repeat(2),
                        camera=code.camera * torch.tensor([1.0, -1, 1]))


def test_a_mirrored_condition_is_that_of_the_mirrored_example(head):
    stream = torch_stream("mirror")
    light = torch.randn(1, 9, 3, generator=stream) * 0.1
    light[:, 0] += 3
    plain = FaceCode(torch.zeros(1, head.n_shape), torch.zeros(1, head.n_albedo), torch.zeros(1, head.n_expression),
                     torch.zeros(1, 6), torch.tensor([[6.5, 0.004, -0.02]]), light, head.name)
    expression = torch.rand(1, head.n_expression, generator=stream) * 0.3
    edited = plain.replace(expression=expression, pose=torch.tensor([[0.05, 0.3, -0.04, 0, 0, 0]]))
    blotches = torch.rand(1, 3, 8, 8, generator=stream) * 1.4 - 0.7
    photo = torch.nn.functional.interpolate(blotches, (128, 128), mode="bicubic").clamp(-1, 1)

    def condition(photo: Tensor, code: FaceCode, after: FaceCode) -> Tensor:
        with torch.no_grad():
            source = pose_heads(head, code, 128)
            return reference_condition(carry(head, photo, split_layers(photo, source.buffers.alpha, source.buffers.alpha), source,
                                             pose_heads(head, after, 128)))

    ours = mirrored_condition(condition(photo, plain, edited))
    wanted = condition(photo.flip(-1), mirror_code(head, plain), mirror_code(head, edited))
    # The head is symmetric to within a millimetre or so: silhouettes and folds may differ by a pixel.
    apart = (ours - wanted).abs().amax(0) > 0.08
    assert apart.float().mean((1, 2)).max() < 0.03
    assert (condition(photo, plain, edited) - wanted).abs().gt(0.08).float().mean() > 0.2
    assert torch.equal(mirrored_condition(ours), condition(photo, plain, edited))


def test_mouth_and_eyes_count_more(head, single):
    code = single.code(0)
    share = features(head, code, 96)
    assert share.shape == (1, 1, 96, 96)
    assert share.max() == 1
    assert share.min() == 0
    assert 0.05 < share.mean() < 0.4


def test_refusals(tmp_path, single, head):
    publish(tmp_path / "published")
    with pytest.raises(RigError, match=r"published store, which holds no face codes .* create-data"):
        PairMaker([FaceStoreDataset(tmp_path / "published")], FakeHead(), 0)
    for shares in ((1, 2), (-1,), (0,)):
        with pytest.raises(UsageError, match=r"--data_shares gives \d shares for 1 stores"):
            PairMaker([single], head, 0, shares)
