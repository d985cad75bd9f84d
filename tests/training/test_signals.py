import os
import signal

import pytest

from diffusionrig.training import signals
from diffusionrig.training.signals import StopSignals


def test_the_first_signal_is_kept_and_repeats_do_no_harm():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop:
        assert stop.received is None
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_interrupt_that_is_meant_interrupts(monkeypatch):
    monkeypatch.setattr(signals, "_APART", 0.0)
    with StopSignals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
