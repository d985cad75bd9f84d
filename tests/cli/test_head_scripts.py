"""The scripts that prepare a registered head, run as a user runs them."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from diffusionrig.geometry import expression_map as module
from diffusionrig.geometry.expression_map import expression_map, map_file_name
from diffusionrig.geometry.heads import load_head

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fit_expression_map.py"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(ended.value.code or 0)


def test_the_map_is_written_where_it_is_looked_for(standin_head_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    for path in standin_head_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))
    monkeypatch.setattr(module, "_KNOWN", {})
    assert run(monkeypatch) == 0
    printed = capsys.readouterr().out
    head = load_head("flame-2020")
    assert f"wrote {tmp_path / map_file_name(head)}" in printed
    assert printed.count("\n") == 1 + 52 + 2
    assert "mouthSmileLeft" in printed

    def refuse(*_: object) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr("diffusionrig.geometry.expression_fit.fit_expression_map", refuse)
    found = expression_map(head)
    smile = found.apply(torch.eye(52)[[43]])[0]
    assert smile.norm() > 0.5
    share = (found.missed.square().sum() / found.moved.square().sum()).sqrt()
    assert share < 0.35


def test_absent_files_are_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path / "nowhere"))
    assert run(monkeypatch) == 2
    said = capsys.readouterr().err
    assert said.startswith("fit_expression_map.py: The head model flame-2020 needs what is not in")
    assert said.count("\n") == 1


def test_other_heads_are_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--head", "smpl") == 2
    assert "no head model 'smpl'" in capsys.readouterr().err
