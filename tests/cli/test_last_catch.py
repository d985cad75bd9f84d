"""What nobody foresaw ends in one sentence that names the path; never in a traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import diffusionrig.cli.plot as command
from diffusionrig.cli import main


def ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: Exception, path: str = "") -> str:
    def run(args: object) -> None:
        place = Path(path or "nowhere")
        raise fault if str(place) else ValueError

    monkeypatch.setattr(command, "run", run)
    assert main(["plot", "x"]) == 1
    text = capsys.readouterr().err
    assert text.startswith("diffusionrig plot: ")
    assert text.count("\n") == 1
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(("number", "advice"), [
    (errno.ENAMETOOLONG, "give a shorter name"), (errno.ELOOP, "leads back to itself"), (errno.EACCES, "change its rights"),
    (errno.ENOSPC, "free some space"), (errno.EROFS, "another disk"), (errno.EMFILE, "more open files")])
def test_an_error_of_the_system_names_its_path_and_what_helps(number, advice, monkeypatch, capsys):
    text = ends(monkeypatch, capsys, OSError(number, os.strerror(number), "some/file.png"))
    assert "some/file.png" in text
    assert advice in text


@pytest.mark.parametrize(("fault", "words"), [
    (RecursionError("maximum recursion depth exceeded"), "nested too deeply"), (MemoryError(), "not enough memory"),
    (OverflowError("int too large"), "too large to work with"), (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), "LC_ALL"),
    (TypeError("'NoneType' is not subscriptable"), "A fault of this program"),
    (KeyError("x\n\x1b[31m"), "A fault of this program")])
def test_other_errors_are_one_sentence_too(fault, words, monkeypatch, capsys):
    assert words in ends(monkeypatch, capsys, fault)
    assert "\x1b" not in capsys.readouterr().err


def test_the_path_that_was_worked_on_is_named(monkeypatch, capsys, tmp_path):
    from diffusionrig.io import files

    (tmp_path / "report.json").write_text("{}")
    monkeypatch.setattr(files, "parse_json", lambda text: (_ for _ in ()).throw(MemoryError))
    monkeypatch.setattr(command, "run", lambda args: files.read_json(tmp_path / "report.json"))
    assert main(["plot", "x"]) == 1
    assert str(tmp_path / "report.json") in capsys.readouterr().err


def test_a_traceback_is_there_for_who_asks(monkeypatch):
    monkeypatch.setenv("DIFFUSIONRIG_TRACEBACK", "1")
    monkeypatch.setattr(command, "run", lambda args: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["plot", "x"])


def test_an_interrupt_and_a_chosen_exit_pass(monkeypatch, capsys):
    def stop(args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run", stop)
    assert main(["plot", "x"]) == 130
    with pytest.raises(SystemExit) as ended:
        main(["plot", "--no\x1bflag\n"])
    assert ended.value.code == 2
    assert "\x1b" not in capsys.readouterr().err


PRINTS = """
import sys
import diffusionrig.cli.plot as command
from diffusionrig.cli import main
command.run = lambda args: print("x")
sys.exit(main(["plot", "y"]))
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_at_standard_output_is_one_sentence():
    with open("/dev/full", "w") as full:
        listed = subprocess.run([sys.executable, "-c", PRINTS], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert listed.returncode == 1
    assert listed.stderr.count("\n") == 1
    assert "No space left" in listed.stderr
