import pytest
import torch
from torch import nn

from diffusionrig.training.ema import WeightAverage, warmed_decay


def test_warm_up_rises_to_the_decay():
    assert [warmed_decay(0.9999, n) for n in (1, 11, 91)] == pytest.approx([1 / 10, 11 / 20, 91 / 100])
    assert warmed_decay(0.9999, 10**6) == 0.9999
    assert warmed_decay(0.5, 11) == 0.5


def test_golden_values():
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    average = WeightAverage(module, 0.5)
    for value in (10.0, 20.0, 30.0):
        module.weight.data.fill_(value)
        average.update()
    # decays 1/10, 2/11, 3/12: 9; 9 * 2/11 + 20 * 9/11; that / 4 + 30 * 3/4
    assert average.tensors["weight"].item() == pytest.approx((9 * 2 / 11 + 20 * 9 / 11) / 4 + 22.5, rel=1e-6)
    assert average.updates == 3


def test_integers_are_copied_and_fixed_tensors_left_alone():
    module = nn.BatchNorm2d(2)
    average = WeightAverage(module, 0.9, frozenset({"weight"}))
    kept = average.tensors["weight"].clone()
    module.weight.data.add_(1)
    module.num_batches_tracked.fill_(7)
    module.running_mean.fill_(1.0)
    average.update()
    assert average.tensors["num_batches_tracked"] == 7
    assert torch.equal(average.tensors["weight"], kept)
    assert average.tensors["running_mean"][0].item() == pytest.approx(0.9)


def test_load_continues():
    module = nn.Linear(2, 2)
    first, second = WeightAverage(module, 0.9), WeightAverage(module, 0.9)
    first.update()
    module.weight.data.add_(1)
    first.update()
    second.load(first.tensors, first.updates)
    module.weight.data.add_(1)
    first.update()
    second.update()
    assert torch.equal(first.tensors["weight"], second.tensors["weight"])
