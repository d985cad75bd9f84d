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


def test_rows_that_come_again_are_taken_back(tmp_path):
    def journal(step):
        return Journal(tmp_path, 0, Progress(None, "", enabled=False, stream=io.StringIO()), ("csv", "json"), step)

    first = journal(0)
    for step in range(1, 6):
        first.row({"step": step, "loss": 0.5 / step})
    table, lines = tmp_path / "progress.csv", tmp_path / "progress.json"
    with open(table, "a") as stream:
        stream.write("0.08")  # a kill within a row
    with open(lines, "a") as stream:
        stream.write('{"step": 1')
    again = journal(3)
    assert table.read_text() == "loss,step\n0.5,1\n0.25,2\n0.16666666666666666,3\n"
    assert [line.split(",")[0] for line in lines.read_text().splitlines()] == ['{"step": 1', '{"step": 2', '{"step": 3']
    again.row({"step": 4, "loss": 1, "new": 2})
    assert table.read_text().endswith("0.16666666666666666,3,\n1,4,2\n")
    before = table.stat().st_ino
    journal(4)
    assert table.stat().st_ino == before  # nothing to take back, nothing is written
    journal(0)
    assert (table.read_text(), lines.read_text()) == ("loss,step,new\n", "")


@pytest.mark.parametrize("text", ["", "loss,step", "loss,step\n", "loss,step\n1,", "loss,step\n1,2", "loss,step\n\n1,x\n"])
def test_tables_that_a_kill_left_early(tmp_path, text):
    file = tmp_path / "t.csv"
    file.write_text(text)
    CsvTable(file).forget("step", 9)
    CsvTable(file).append({"loss": 5, "step": 1})
    rows = CsvTable(file).rows()
    assert rows[-1] == ["5", "1"]
    assert ["1", "2"] not in rows
