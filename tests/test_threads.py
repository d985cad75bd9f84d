"""Results must not depend on how many processes share the work."""

import cv2
import pytest
import torch

from diffusionrig.threads import one_thread


def counts() -> tuple[int, int]:
    return torch.get_num_threads(), cv2.getNumThreads()


def fail_within() -> None:
    with one_thread():
        assert counts() == (1, 1)
        raise KeyError("any")


def test_a_block_computes_in_one_thread_and_leaves_the_number_as_it_was():
    before = counts()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError):
            fail_within()
        assert counts() == (2, before[1])
    finally:
        torch.set_num_threads(before[0])
