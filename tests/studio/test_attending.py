"""Commands in processes of their own stop when they are asked to, and when nobody attends to them any more."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from diffusionrig.io.processes import works
from diffusionrig.studio.attending import Attended

pytestmark = pytest.mark.timeout(120)

# A command that saves when it is asked to stop, as training does.
SLOW = """
import signal, sys, time
from diffusionrig.cli import attended
def slow(words):
    asked = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    print("begun", flush=True)
    while not asked:
        time.sleep(0.01)
    open(words[0], "w").write("saved")
    return 0
attended.main = slow
sys.exit(attended.attended(sys.argv[1:]))
"""


def wait_for(test):
    end = time.monotonic() + 60
    while not test():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_command_that_nobody_attends_to_any_more_saves_and_ends(tmp_path):
    saved = tmp_path / "saved"
    # The one in between is killed, as a studio may be.
    between = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {SLOW!r}, {str(saved)!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
    process = subprocess.Popen([sys.executable, "-c", between], stdout=subprocess.PIPE, text=True)
    number = int(process.stdout.readline())
    assert works(number)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not works(number))
    assert saved.read_text() == "saved"


def test_what_a_command_says_last_is_its_sentence(tmp_path):
    command = Attended("curate", [str(tmp_path / "nowhere")])
    assert asyncio.run(command.run()) == 2
    assert command.sentence == f"There is no folder {tmp_path / 'nowhere'}; check the path."
    assert not command.stopped


def test_one_that_was_stopped_before_it_began_does_not_begin():
    command = Attended("train", [])
    command.stop()
    assert asyncio.run(command.run()) == 0
    assert command.said == ""


def test_it_is_stopped_while_it_runs(tmp_path, monkeypatch):
    async def play():
        command = Attended(SLOW, [str(tmp_path / "saved")])
        running = asyncio.create_task(command.run())
        while "begun" not in command.said:
            await asyncio.sleep(0.02)
        command.stop()
        return await running

    monkeypatch.setattr("diffusionrig.studio.attending.BEGINNING", ("-c",))
    assert asyncio.run(play()) == 0
    assert (tmp_path / "saved").read_text() == "saved"
