"""A few of the damaged files of ``benchmarks/reliability_mutations.py``: no reader is surprised by any."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability_mutations.py"
PLANT = """
import runpy, sys
from diffusionrig.io import files
def broken(path, most=None): raise KeyError("planted")
files.read_json = broken
sys.argv = [sys.argv[1], "--count", "3", "--only", "json"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_damaged_files_of_every_kind():
    done = run(str(SCRIPT), "--count", "92", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[0].startswith("92 damaged files of ")
    assert ": 0 faults (none)" in done.stdout


@pytest.mark.slow
def test_many_damaged_files():
    done = run(str(SCRIPT), "--count", "3000", "--seed", "6")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_an_exception_that_is_not_ours_is_seen():
    done = run("-c", PLANT, str(SCRIPT))
    assert done.returncode == 1
    assert "3 KeyError" in done.stdout
