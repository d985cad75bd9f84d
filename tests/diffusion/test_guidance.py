import pytest
import torch

from diffusionrig.diffusion.guidance import guided


def constant(value, channels=3):
    return lambda x, t: torch.full((len(x), channels, *x.shape[2:]), value, dtype=x.dtype)


X, T = torch.zeros(2, 3, 4, 4, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)


@pytest.mark.parametrize(("scale", "result"), [(0.0, 1.0), (1.0, 3.0), (1.5, 4.0), (3.0, 7.0)])
def test_the_prediction_goes_beyond_the_better_one(scale, result):
    assert torch.equal(guided(constant(3.0), constant(1.0), scale)(X, T), X + result)


def test_a_variance_part_is_left_alone():
    informed = lambda x, t: torch.cat([x + 3, x + 0.25], 1)  # noqa: E731
    for absent in (constant(1.0), constant(1.0, 6)):
        result = guided(informed, absent, 2.0)(X, T)
        assert torch.equal(result[:, :3], X + 5)
        assert torch.equal(result[:, 3:], X + 0.25)
