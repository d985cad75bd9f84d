import signal

from warm import Warm

from diffusionrig.training.heartbeat import LastWord

DIE = """
import os, signal, sys
from pathlib import Path
from diffusionrig.training.heartbeat import LastWord
word = LastWord("It's over; \\"$HOME\\" was lost.")
word.write_to(Path(sys.argv[1]))
if sys.argv[2] == "quietly":
    word.withdraw()
os.kill(os.getpid(), signal.SIGKILL)
"""


def die(log, how):
    process = Warm(DIE, [log, how])
    # The shell holds standard error open, so this waits for it as well.
    return process.communicate()[1], process.returncode


def test_a_killed_process_has_the_last_word_on_standard_error_and_in_the_log(tmp_path):
    log = tmp_path / "a log.txt"
    log.write_text("before\n")
    said, status = die(log, "aloud")
    assert status == -signal.SIGKILL
    assert said == "It's over; \"$HOME\" was lost.\n"
    assert log.read_text() == "before\nIt's over; \"$HOME\" was lost.\n"


def test_a_process_that_has_spoken_is_not_repeated(tmp_path):
    assert die(tmp_path / "log.txt", "quietly")[0] == ""
    assert not (tmp_path / "log.txt").exists()


def test_speaking_at_once(capfd, tmp_path):
    word = LastWord("Lost.")
    word.write_to(tmp_path / "log.txt")
    word.speak()
    word.withdraw()
    assert capfd.readouterr().err == "Lost.\n"
    assert (tmp_path / "log.txt").read_text() == "Lost.\n"
