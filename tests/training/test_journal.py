import io

import pytest

from diffusionrig.errors import UsageError
from diffusionrig.io.journal import CsvTable, append_text
from diffusionrig.progress import Progress
from diffusionrig.training.journal import Journal, chosen_formats


def test_a_line_cut_off_by_a_kill_is_closed_first(tmp_path):
    file = tmp_path / "log.txt"
    append_text(file, "one\n")
    file.write_text(file.read_text() + "tw")
    append_text(file, "three\n")
    assert file.read_text() == "one\ntw\nthree\n"


def test_rows_go_on_after_a_restart_and_new_columns_join(tmp_path):
    CsvTable(tmp_path / "t.csv").append({"step": 1, "loss": 0.5})
    again = CsvTable(tmp_path / "t.csv")
    again.append({"step": 2, "loss": 0.4})
    again.append({"step": 3, "loss": 0.3, "acc": 1})
    again.append({"step": 4})
    assert (tmp_path / "t.csv").read_text() == "loss,step,acc\n0.5,1,\n0.4,2,\n0.3,3,1\n,4,\n"


def test_formats_come_from_the_environment(tmp_path):
    assert chosen_formats(0, {"OPENAI_LOG_FORMAT": "csv, json"}) == ("csv", "json")
    assert chosen_formats(1, {}) == ("log",)
    assert chosen_formats(1, {"OPENAI_LOG_FORMAT_MPI": ""}) == ()
    with pytest.raises(UsageError, match="log format 'xml'"):
        chosen_formats(0, {"OPENAI_LOG_FORMAT": "xml"})


def test_tensorboard_is_used_when_installed_and_named_when_not(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert chosen_formats(0, {}) == ("stdout", "log", "csv")
    with pytest.raises(UsageError, match=r"diffusionrig\[log\]"):
        chosen_formats(0, {"OPENAI_LOG_FORMAT": "tensorboard"})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert chosen_formats(0, {})[-1] == "tensorboard"


def test_other_ranks_write_their_own_log(tmp_path, capsys):
    journal = Journal(tmp_path, 1, Progress(None, "", enabled=False, stream=io.StringIO()), ("log", "csv"))
    journal.note("hello")
    journal.row({"step": 3, "loss": 0.25})
    journal.close()
    assert (tmp_path / "log-rank001.txt").read_text().splitlines() == [
        "hello", "---------------", "| loss | 0.25 |", "| step | 3    |", "---------------"]
    assert (tmp_path / "progress-rank001.csv").exists()
    assert capsys.readouterr().out == ""
