"""Names and words out of strangers' files as they are shown."""

import io
import os
import sys

from diffusionrig.progress import Progress
from diffusionrig.shown import LONGEST, Guarded, guarded_streams, one_line, some_lines


def test_what_steers_a_terminal_is_spelt():
    assert one_line("a\x1b[31m\nb\r\x07\x9b\u202ec\u2028") == "a\\x1b[31m\\nb\\r\\x07\\x9b\\u202ec\\u2028"
    assert one_line("Ünïcode 日本") == "Ünïcode 日本"


def test_bytes_that_are_no_text_are_spelt_as_bytes():
    assert one_line(os.fsdecode(b"n\xff\xe9.png")) == "n\\xff\\xe9.png"


def test_a_sentence_that_repeats_a_file_is_cut():
    line = one_line("start" + "x" * 10**6 + "end")
    assert len(line) < LONGEST + 10
    assert line.startswith("start")
    assert line.endswith("end")


def test_a_guarded_stream_keeps_lines_and_spells_the_rest():
    held = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    print("one\x1b[2J\ntwö \udcff", file=Guarded(held))
    held.flush()
    assert held.buffer.getvalue() == b"one\\x1b[2J\ntw\\xf6 \\xff\n"


def test_streams_are_guarded_once_and_given_back():
    before = sys.stdout, sys.stderr
    with guarded_streams(), guarded_streams():
        assert isinstance(sys.stdout, Guarded)
        assert not isinstance(sys.stdout.bare, Guarded)
    assert (sys.stdout, sys.stderr) == before


def test_progress_shows_notes_on_one_line():
    stream = io.StringIO()
    Progress(3, "align", stream=stream).write("a\nb\x1b[31m: unreadable")
    assert stream.getvalue() == "a\\nb\\x1b[31m: unreadable\n"


def test_a_long_list_ends_and_says_where_the_rest_is():
    lines = some_lines([f"{number}\n" for number in range(30)], 20, "report.json")
    assert lines[0] == "0\\n"
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more, see report.json"
    assert some_lines(["a"], 20) == ["a"]
