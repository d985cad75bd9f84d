"""The command itself, in a process of its own."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from websockets.sync.client import connect

from diffusionrig.cli import main

pytestmark = pytest.mark.timeout(200)

WATCHED = """
import sys
def watch(event, arguments):
    if event in {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"}:
        print("SOCKET", event, arguments[1:] if event.startswith("socket.c") or event.startswith("socket.b") else arguments,
              file=sys.stderr, flush=True)
sys.addaudithook(watch)
from diffusionrig.cli import main
sys.exit(main(["studio", *sys.argv[1:]]))
"""


@pytest.fixture
def process(reference_checkpoint, tmp_path):
    command = [sys.executable, "-c", WATCHED, "--port", "0", "--threads", "1", "--model_path", str(reference_checkpoint),
               "--work_dir", str(tmp_path / "work")]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    yield started
    if started.poll() is None:
        os.killpg(started.pid, signal.SIGKILL)
    started.communicate()


def test_it_prints_its_address_opens_no_other_socket_and_ends_quietly(process):
    line = process.stdout.readline()
    address = line.split()[-1]
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert b"<title>diffusionrig studio</title>" in answer.read()
    request = urllib.request.Request(f"{address}api/example", method="POST", data=b"")
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"{address}api/picture.png", timeout=120) as answer:
        assert answer.read(8) == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address.rsplit("/", 2)[0] + "/", timeout=60)
    with connect(address.replace("http", "ws", 1) + "socket", proxy=None) as page:
        # JPEGs do not get smaller, and packing them takes as long as making them.
        assert "Sec-WebSocket-Extensions" not in page.response.headers
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    sockets = [row for row in err.splitlines() if row.startswith("SOCKET")]
    assert sockets == ["SOCKET socket.bind (('127.0.0.1', 0),)"]
    assert "Traceback" not in out + err


def test_a_port_that_is_taken_is_a_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        began = time.monotonic()
        assert main(["studio", "--port", str(taken.getsockname()[1])]) == 2
    assert time.monotonic() - began < 30
    assert "Choose another --port" in capsys.readouterr().err
    assert main(["studio", "--port", "99999"]) == 2


def test_without_its_packages_the_extra_is_named(capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "starlette" else found(name, *rest))
    assert main(["studio"]) == 1
    assert 'pip install "diffusionrig[studio]"' in capsys.readouterr().err
