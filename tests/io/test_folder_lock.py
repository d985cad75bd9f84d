import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from diffusionrig.errors import RigError
from diffusionrig.io import folder_lock as module
from diffusionrig.io.folder_lock import NAME, folder_lock, in_use
from diffusionrig.io.processes import machine, start_of, works

HOLD = """
import sys, time
from diffusionrig.io.folder_lock import folder_lock
with folder_lock(sys.argv[1], "train"):
    print("held", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder(folder):
    """A process that holds ``folder``, and is killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def quick(monkeypatch):
    """Holders on other machines are watched for a moment only."""
    monkeypatch.setattr(module, "BEAT", 0.08)
    monkeypatch.setattr(module, "WATCH", 0.4)


@pytest.fixture
def lockless(monkeypatch):
    """A file system that knows no locks."""
    def lockf(descriptor, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.fcntl, "lockf", lockf)


def test_one_holder_at_a_time_who_is_named(tmp_path):
    with holder(tmp_path / "run") as process:
        note = json.loads((tmp_path / "run" / NAME).read_text())
        assert in_use(tmp_path / "run")
        with pytest.raises(RigError) as refusal, folder_lock(tmp_path / "run", "train"):
            pass
        text = str(refusal.value)
        assert f"is in use by process {process.pid} on {note['machine']} (train) since {note['began']};" in text
        assert refusal.value.exit_code == 1
        assert json.loads((tmp_path / "run" / NAME).read_text()) == note


@pytest.mark.parametrize("locks", ["locks", "none"])
def test_a_killed_holder_holds_nothing(tmp_path, locks, request):
    with holder(tmp_path) as process:
        if locks == "none":
            request.getfixturevalue("lockless")
        with pytest.raises(RigError, match=f"process {process.pid} on"), folder_lock(tmp_path, "train"):
            pass
    assert (tmp_path / NAME).exists()
    assert not in_use(tmp_path)
    with folder_lock(tmp_path, "train"):
        assert json.loads((tmp_path / NAME).read_text())["process"] == os.getpid()
    assert os.listdir(tmp_path) == []


def test_a_stopped_holder_still_holds(tmp_path, lockless):
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(RigError, match="in use"), folder_lock(tmp_path, "train"):
            pass


def test_threads_of_one_process_are_kept_apart(tmp_path):
    with folder_lock(tmp_path, "edit"):
        assert in_use(tmp_path)
        with pytest.raises(RigError, match=f"process {os.getpid()}"), folder_lock(str(tmp_path) + "/../" + tmp_path.name, "edit"):
            pass
        assert (tmp_path / NAME).exists()
    with folder_lock(tmp_path, "edit"):
        pass


def test_a_number_given_anew_is_another_process(tmp_path):
    (tmp_path / NAME).write_text(json.dumps({"process": 1, "machine": "here", "where": machine(), "start": "no such"}))
    with folder_lock(tmp_path, "train"):
        pass
    (tmp_path / NAME).write_text(json.dumps({"process": 1, "machine": "here", "where": machine(), "start": start_of(1)}))
    with pytest.raises(RigError, match="process 1 on here"), folder_lock(tmp_path, "train"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": "x"}', "\0" * 40, '{"process": 99999999999999999999999}'])
def test_a_file_that_says_nothing_holds_nothing(tmp_path, text, quick):
    (tmp_path / NAME).write_text(text)
    with folder_lock(tmp_path, "train"):
        pass
    assert not (tmp_path / NAME).exists()


def test_another_machine_is_told_by_its_touch(tmp_path, quick):
    file = tmp_path / NAME
    file.write_text(json.dumps({"process": 7, "machine": "node3", "where": "node3 elsewhere", "began": "2026-01-02 03:04:05"}))
    ended = threading.Event()

    def touch():
        while not ended.wait(0.05):
            os.utime(file)

    thread = threading.Thread(target=touch)
    thread.start()
    try:
        with pytest.raises(RigError, match="process 7 on node3 since 2026-01-02 03:04:05"), folder_lock(tmp_path, "train"):
            pass
    finally:
        ended.set()
        thread.join()
    with folder_lock(tmp_path, "train"):
        pass


def test_the_holder_touches_the_file(tmp_path, quick):
    with folder_lock(tmp_path, "train"):
        first = (tmp_path / NAME).stat().st_mtime_ns
        deadline = time.monotonic() + 10
        while (tmp_path / NAME).stat().st_mtime_ns == first:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _race(folder, without, start, results, number):
    if without:
        def lockf(descriptor, operation):
            raise OSError(errno.EOPNOTSUPP, "not supported")

        module.fcntl.lockf, module.SETTLE = lockf, 1.0
    start.wait()
    try:
        with folder_lock(folder, "train"):
            time.sleep(3)
            results.put((number, "held"))
    except RigError as error:
        results.put((number, str(error)))


@pytest.mark.parametrize("without", [False, True], ids=["locks", "no locks"])
def test_of_many_at_once_one_wins(tmp_path, without):
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    (tmp_path / NAME).write_text(json.dumps({"process": 1, "where": machine(), "start": "gone"}))
    processes = [context.Process(target=_race, args=(tmp_path, without, start, results, number)) for number in range(5)]
    for process in processes:
        process.start()
    time.sleep(0.3)
    start.set()
    told = [results.get(timeout=60)[1] for _ in processes]
    for process in processes:
        process.join()
    assert told.count("held") == 1, told
    assert sum("is in use by " in text for text in told) == 4, told
    assert not (tmp_path / NAME).exists()


def test_a_forked_child_neither_holds_nor_gives_back(tmp_path):
    with folder_lock(tmp_path, "train"):
        child = os.fork()
        if child == 0:
            try:
                raise SystemExit
            except SystemExit:
                pass
            os._exit(0)
        os.waitpid(child, 0)
        assert in_use(tmp_path)


def test_folders_that_were_made_for_nothing_go(tmp_path):
    with folder_lock(tmp_path / "new", "train"):
        pass
    assert not (tmp_path / "new").exists()
    with folder_lock(tmp_path / "new", "train"):
        (tmp_path / "new" / "result").touch()
    assert os.listdir(tmp_path / "new") == ["result"]


def test_processes_are_known(tmp_path):
    assert works(os.getpid(), start_of(os.getpid()))
    assert not works(os.getpid(), "1")
    assert not any(works(number) for number in (0, -1, 10**30))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 30
    while works(ended.pid):  # a zombie until it is waited for
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ended.wait()
    assert not works(ended.pid)
