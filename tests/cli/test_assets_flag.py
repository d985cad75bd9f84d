"""``--assets``: one flag that moves the folder of registered files for as long as a command runs."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffusionrig.cli import command_parser, main
from diffusionrig.errors import UsageError
from diffusionrig.io.assets import assets_in, user_assets

COMMANDS = {"capture": ["x.png", "-o", "out"], "create-data": [], "edit": [], "doctor": [], "convert-assets": [], "train": [],
            "inspect": ["store"]}


@pytest.mark.parametrize("command", COMMANDS)
def test_one_command_sees_the_folder_the_next_does_not(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIFFUSIONRIG_DATA", raising=False)
    seen = []
    module = importlib.import_module(f"diffusionrig.cli.{command.replace('-', '_')}")
    monkeypatch.setattr(module, "run", lambda args: seen.append(user_assets()))
    assert main([command, *COMMANDS[command], "--assets", str(tmp_path)]) == 0
    assert main([command, *COMMANDS[command]]) == 0
    assert seen == [tmp_path, Path("data")]
    assert "--assets DIR" in command_parser(command).format_help()


def test_the_flag_wins_over_the_variable_and_reaches_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", "elsewhere")
    with assets_in(tmp_path):
        assert user_assets() == tmp_path
        shown = subprocess.run([sys.executable, "-c", "import os; print(os.environ['DIFFUSIONRIG_DATA'])"], text=True,
                               capture_output=True, check=True)
        assert shown.stdout.strip() == str(tmp_path)
        with assets_in(""):
            assert user_assets() == tmp_path
    assert user_assets() == Path("elsewhere")
    assert os.environ["DIFFUSIONRIG_DATA"] == "elsewhere"


def test_a_folder_that_is_not_there_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"no folder .* of registered files"), assets_in(tmp_path / "none"):
        pass
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        assert main(["doctor", "--assets", str(tmp_path / name)]) == 2
        assert "check the path given as --assets" in capsys.readouterr().err
