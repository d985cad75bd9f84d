"""A few of the damaged files of ``benchmarks/reliability_mutations.py``: no reader is surprised by any."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability_mutations.py"


@pytest.fixture(scope="module")
def mutations():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import reliability_mutations
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return reliability_mutations


@pytest.fixture(scope="module")
def inputs(mutations, tmp_path_factory):
    return mutations.make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_of_every_kind(mutations, inputs, tmp_path):
    seen = [mutations.watch_case(inputs, 5, number, tmp_path) for number in range(len(inputs))]
    assert {name for name, _ in seen} == set(inputs)
    # How long it takes is not told here: another process may have the processor.
    assert [fault for _, faults in seen for fault in faults if fault["error"]] == []


def test_an_exception_that_is_not_ours_is_seen(mutations, inputs, tmp_path, monkeypatch):
    from diffusionrig.io import files

    def broken(text):
        raise KeyError("planted")

    monkeypatch.setattr(files, "parse_json", broken)
    name, faults = mutations.watch_case({"json": inputs["json"]}, 5, 0, tmp_path)
    assert name == "json"
    assert [fault["error"] for fault in faults] == ["KeyError"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.slow
def test_many_damaged_files():
    done = run("--count", "1500", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("1500 damaged files of ")
    assert ": 0 faults (none)" in done.stdout


@pytest.mark.slow
def test_children_end_with_their_parent():
    script = subprocess.Popen([sys.executable, str(SCRIPT), "--count", "100000", "--seed", "5"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    assert script.stderr is not None
    script.stderr.readline()  # 500 cases
    script.kill()
    began = time.monotonic()
    script.communicate(timeout=60)
    assert time.monotonic() - began < 10
