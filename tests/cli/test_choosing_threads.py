"""Threads by what is idle: the choice, what it leaves alone, and what a command computes with in the end."""

import os
import subprocess
import sys

import pytest
import torch

from diffusionrig.cli import COMMANDS, WITHOUT_THREADS, choosing_threads, command_parser, main
from diffusionrig.cli.choosing_threads import Processors, computing_threads, look, settings_for
from diffusionrig.cli.react import COMMANDS as REACT_COMMANDS
from diffusionrig.io.processors import allowed_processors, idle_seconds

NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "GOMP_SPINCOUNT")


def chosen(count, idle, cores=None, quota=None, **environment):
    """(threads, spins) that are set; None where they are left alone."""
    settings = settings_for(Processors(count, cores or count, idle, quota), environment)
    assert len({settings.get(name) for name in NAMES[:2]}) == 1
    threads = settings.get("OMP_NUM_THREADS")
    return threads and int(threads), settings.get("GOMP_SPINCOUNT")


@pytest.mark.parametrize(("count", "idle", "expected"), [
    (2, 2.0, (None, None)), (2, 1.7, (None, None)),  # a little of something else: as PyTorch has it
    (2, 1.5, (1, None)), (2, 1.0, (1, None)), (2, 0.5, (1, None)), (2, 0.0, (1, None)),
    (1, 0.3, (1, None)), (1, 1.0, (None, None)),
    (8, 7.9, (None, None)), (8, 7.0, (7, "1000")), (8, 6.7, (7, "1000")), (8, 3.2, (3, "1000")), (8, 0.1, (1, None))])
def test_there_is_a_thread_for_every_idle_processor(count, idle, expected):
    assert chosen(count, idle) == expected


def test_threads_of_one_core_count_once_when_something_is_busy():
    assert chosen(8, 7.0, cores=4) == (4, "1000")
    assert chosen(8, 2.0, cores=4) == (2, "1000")
    assert chosen(8, 8.0, cores=4) == (None, None)


def test_a_quota_grants_no_more_threads_than_it_pays_for():
    assert chosen(16, 16.0, quota=2.0) == (2, None)
    assert chosen(16, 16.0, quota=1.5) == (2, None)
    assert chosen(16, 16.0, quota=0.5) == (1, None)
    assert chosen(16, 16.0, quota=32.0) == (None, None)
    assert chosen(16, 1.0, quota=2.0) == (1, None)


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"])
def test_the_users_number_and_a_launchers_processes_are_left_alone(name):
    assert settings_for(Processors(8, 8, 3.0), {name: "4"}) == {}


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY"])
def test_how_the_user_lets_threads_wait_stays(name):
    settings = settings_for(Processors(8, 8, 3.0), {name: "passive"})
    assert settings["OMP_NUM_THREADS"] == "3"
    assert not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "KMP_LIBRARY"} & set(settings)


def test_one_process_of_a_launcher_chooses_and_what_nobody_says_changes_nothing():
    assert chosen(2, 1.0, PMI_SIZE="1") == (1, None)
    assert settings_for(None, {}) == {}
    assert "OPENCV_FOR_THREADS_NUM" not in settings_for(Processors(2, 2, 1.0), {"OPENCV_FOR_THREADS_NUM": "2"})


@pytest.mark.skipif(allowed_processors() is None or idle_seconds(allowed_processors()) is None, reason="needs /proc/stat")
def test_what_is_seen_of_this_machine_is_possible():
    seen = look()
    assert seen is not None
    assert seen.count == len(allowed_processors())
    assert 1 <= seen.cores <= seen.count
    assert 0 <= seen.idle <= seen.count


def test_a_second_look_decides_when_the_first_saw_something_busy(monkeypatch):
    looks = []

    def watch(processors, seconds, imports=()):
        looks.append(seconds)
        return answers.pop(0)

    monkeypatch.setattr(choosing_threads, "_watch", watch)
    monkeypatch.setattr("diffusionrig.io.processors.allowed_processors", lambda: frozenset(range(4)))
    answers = [4.0]
    assert look().idle == 4.0
    assert looks == [choosing_threads.GLANCE]
    answers = [3.0, 3.9]
    assert look().idle == 3.9
    assert looks == [choosing_threads.GLANCE, choosing_threads.GLANCE, choosing_threads.LOOK]
    answers = [None]
    assert look() is None


def test_a_proc_stat_that_stands_still_says_nothing(monkeypatch):
    monkeypatch.setattr("diffusionrig.io.processors.idle_seconds", lambda processors: (5.0, 9.0))
    monkeypatch.setattr("diffusionrig.io.processors.allowed_processors", lambda: frozenset({0, 1}))
    assert look() is None


def test_time_of_this_process_counts_as_idle(monkeypatch):
    # Two processors: one does nothing, this process is alone on the other and works all the time.
    clock = iter([0.0, 0.2, 0.2])
    counted = iter([(10.0, 40.0), (10.2, 40.4)])
    used = iter([1.0, 1.2])
    monkeypatch.setattr(choosing_threads.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(choosing_threads.time, "process_time", lambda: next(used))
    monkeypatch.setattr("diffusionrig.io.processors.idle_seconds", lambda processors: next(counted))
    assert choosing_threads._watch(frozenset({0, 1}), 0.05) == pytest.approx(2.0)


def test_settings_last_as_long_as_the_command(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = torch.get_num_threads()
    with computing_threads(1):
        assert [os.environ.get(name) for name in NAMES] == ["1", "1", "1", None]
        assert torch.get_num_threads() == 1
    assert [os.environ.get(name) for name in NAMES] == ["7", None, None, None]
    assert torch.get_num_threads() == before


def test_auto_leaves_a_program_alone_that_has_loaded_pytorch(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    monkeypatch.setattr(choosing_threads, "look", lambda: Processors(8, 8, 3.0))
    with computing_threads(0):
        assert torch.get_num_threads() == before
        assert not set(NAMES) & set(os.environ)


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", ""])
def test_a_wrong_number_is_one_sentence_and_status_2(value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["edit", f"--threads={value}"])
    assert stop.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"argument --threads: {value!r} is neither auto nor a whole number above zero" in said[0]


COMPUTING = sorted({*COMMANDS, *(f"react {name}" for name in REACT_COMMANDS), "emoca-demo"} - WITHOUT_THREADS)


@pytest.mark.parametrize("command", COMPUTING)
def test_every_command_that_computes_takes_the_flag(command):
    if command == "react coefficients":  # its actions have the flags
        assert command_parser(command).parse_args(["train", "--threads", "3"]).threads == 3
        assert command_parser(command).parse_args(["predict", "x.npy", "--threads", "auto"]).threads == 0
    else:
        assert "--threads auto|N" in command_parser(command).format_help()


# doctor's own work takes seconds and says nothing of OpenCV.
PROGRAM = """
import sys
from diffusionrig.cli import choosing_threads, doctor, main
def tell(args):
    import cv2, torch
    print(torch.get_num_threads(), cv2.getNumThreads())
doctor.run = tell
if sys.argv[1] == "busy":
    choosing_threads.look = lambda: choosing_threads.Processors(4, 4, 1.2)
sys.exit(main(["doctor", *sys.argv[2:]]))
"""


def threads_of_a_command(machine, *words, **environment):
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run([sys.executable, "-c", PROGRAM, machine, *words], env={**clean, **environment}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


CORES = len(allowed_processors() or range(os.cpu_count() or 1))  # MKL, whose number PyTorch takes, takes no more


def test_a_command_computes_with_the_threads_it_was_given():
    assert threads_of_a_command("busy", "--threads", "1", OMP_NUM_THREADS="2") == [1, 1]
    assert threads_of_a_command("busy", "--threads", "2", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1") == [min(2, CORES), 2]


def test_auto_takes_what_is_idle_unless_the_user_says():
    assert threads_of_a_command("busy") == [1, 1]
    assert threads_of_a_command("busy", "--threads", "auto", OMP_NUM_THREADS="2")[0] == min(2, CORES)
