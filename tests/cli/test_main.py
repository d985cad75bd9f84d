import subprocess
import sys
import time

import pytest

from diffusionrig.cli import COMMANDS, GROUPS, main
from diffusionrig.cli.react import COMMANDS as REACT_COMMANDS


def test_the_overview_names_every_command(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_an_unknown_command_is_misuse(capsys):
    assert main(["paint"]) == 2
    assert "there is no command 'paint'" in capsys.readouterr().err


def test_a_group_has_an_overview_of_its_own(capsys):
    assert sorted(GROUPS) == ["react"]
    assert main(["react"]) == 0
    text = capsys.readouterr().out
    assert "usage: diffusionrig react COMMAND" in text
    assert all(command in text for command in REACT_COMMANDS)
    assert main(["react", "paint"]) == 2
    assert "no command 'paint' in diffusionrig react" in capsys.readouterr().err


@pytest.mark.parametrize("command", sorted(COMMANDS) + [f"react {name}" for name in sorted(REACT_COMMANDS)])
def test_every_command_explains_itself_with_examples(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert f"diffusionrig {command}" in text


def test_an_unknown_flag_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["verify", "--colour", "red", "x.png"])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_importing_the_package_stays_light():
    code = "import sys, diffusionrig; sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'kornia', 'av', 'mpi4py')))"
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert time.monotonic() - began < 20


def test_commands_explain_themselves_without_pytorch():
    code = ("import sys; from diffusionrig.cli import command_parser\n"
            "for name in ('train', 'studio', 'create-data', 'align', 'inspect', 'verify', 'synth', 'demo', 'plot', 'ema'):\n"
            "    command_parser(name).format_help()\n    if 'torch' in sys.modules: sys.exit(name)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
