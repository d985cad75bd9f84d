"""Files that would unfold to gigabytes, or take for ever, are refused in time and memory, by one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from diffusionrig.errors import RigError

MEMORY, SECONDS = 300e6, 2.0


def refused(read: Callable[[], object], words: str) -> None:
    """``read`` says ``words`` in one sentence, in time and memory (which only Linux tells)."""
    linux = Path("/proc/self/clear_refs").exists()
    before, began = _peak(reset=True) if linux else 0, time.process_time()
    with pytest.raises(RigError, match=words) as error:
        read()
    assert time.process_time() - began < SECONDS
    if linux:
        assert _peak() - before < MEMORY
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000


def _peak(reset: bool = False) -> int:
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["VmRSS" if reset else "VmHWM"].split()[0]) * 1024
