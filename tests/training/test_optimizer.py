import pytest
import torch
from torch import nn

from diffusionrig.training.optimizer import (
    clip_gradients,
    cosine_rate,
    learning_rate,
    make_optimizer,
    optimizer_state,
    restore_optimizer,
)


def test_clipping_is_by_the_global_norm():
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    first.grad, second.grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert clip_gradients([first, second], 1.0).item() == pytest.approx(5)
    assert first.grad.tolist() == pytest.approx([0.6, 0], abs=1e-6)
    assert second.grad.tolist() == pytest.approx([0.8], abs=1e-6)


@pytest.mark.parametrize("limit", [0.0, 10.0])
def test_small_or_unlimited_gradients_stay(limit):
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    clip_gradients([parameter], limit)
    assert parameter.grad.tolist() == [3.0, 4.0]


def test_warm_up_and_decay_of_the_rate():
    assert [learning_rate(0.1, n, 4) for n in (1, 2, 4, 5)] == pytest.approx([0.025, 0.05, 0.1, 0.1])
    assert learning_rate(0.1, 1, 0) == 0.1
    falling = [learning_rate(0.1, n, 4, decay_steps=3, max_steps=10) for n in (2, 7, 8, 9, 10, 11, 12)]
    assert falling == pytest.approx([0.05, 0.1, 0.075, 0.05, 0.025, 0.0, 0.0])


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_first_step_of_adam(name):
    parameter = nn.Parameter(torch.tensor([1.0]))
    optimizer = make_optimizer(name, [parameter], 0.1, 0.5)
    parameter.grad = torch.tensor([-2.0])
    optimizer.step()
    # Adam's first step has length lr whatever the gradient: L2 decay changes its sign at most, AdamW's shrinks the weight.
    expected = 1 + 0.1 if name == "adam" else 1 * (1 - 0.1 * 0.5) + 0.1
    assert parameter.item() == pytest.approx(expected, rel=1e-5)


def test_state_returns_by_name_and_the_asked_rate_wins():
    def fresh(lr: float) -> tuple[nn.Linear, torch.optim.Optimizer]:
        module = nn.Linear(3, 2)
        return module, make_optimizer("adam", module.parameters(), lr, 0.0)

    names = ["weight", "bias"]
    module, optimizer = fresh(0.1)
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = optimizer_state(optimizer, names)
    other, continued = fresh(0.01)
    restore_optimizer(continued, names, state)
    assert continued.param_groups[0]["lr"] == 0.01
    for name in names:
        for slot, tensor in state[name].items():
            assert torch.equal(continued.state[getattr(other, name)][slot], tensor)


def test_the_cosine_schedule_and_the_published_jump():
    shape = {"warmup_steps": 5000, "keep_steps": 60000, "max_steps": 150001, "lr_start": 2.5e-6, "lr_end": 1e-8}
    rates = {update: cosine_rate(1.5e-4, update + 1, **shape) for update in (0, 2500, 5000, 59999, 60000, 105000, 150001)}
    assert rates[0] == 2.5e-6
    assert rates[2500] == pytest.approx((1.5e-4 + 2.5e-6) / 2)
    assert rates[5000] == rates[59999] == rates[60000] == 1.5e-4
    assert rates[105000] == pytest.approx(7.5e-5, rel=1e-3)
    assert rates[150001] == pytest.approx(1e-8)
    assert cosine_rate(1.5e-4, 60001, **shape, jump=True) == pytest.approx(1.03e-4, rel=5e-3)
    assert cosine_rate(1.5e-4, 60000, **shape, jump=True) == 1.5e-4
