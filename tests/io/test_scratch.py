"""Files that a program needs while it runs."""

import os
import stat
import tempfile

import pytest

from diffusionrig.io.scratch import Scratch, growing_file
from diffusionrig.io.temporary_files import sweep_again


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sweep_again()
    return tmp_path


def test_a_scratch_is_private_and_goes_with_all_that_is_in_it(place):
    scratch = Scratch("studio")
    assert scratch.place.parent == place
    assert stat.S_IMODE(scratch.place.stat().st_mode) == 0o700
    (scratch.folder("1") / "clip.mp4").write_bytes(b"x")
    assert [path.name for path in scratch.place.rglob("*.mp4")] == ["clip.mp4"]
    assert list(scratch.folder("1").iterdir()) == []
    scratch.remove()
    assert list(place.iterdir()) == []


def test_what_a_killed_program_left_is_swept(place):
    first = Scratch("studio")
    # A process of that number does not exist.
    left = first.place.with_name(first.place.name.replace(f"-{os.getpid()}-", "-4194303-"))
    left.mkdir()
    (left / "clip.mp4").write_bytes(b"x")
    sweep_again()
    second = Scratch("studio")
    assert not left.exists()
    assert first.place.exists()
    assert second.place.exists()


def test_a_growing_file_is_there_when_it_is_whole(place):
    with growing_file(place / "a.bin") as write:
        write(b"one")
        assert not (place / "a.bin").exists()
        write(b"two")
    assert (place / "a.bin").read_bytes() == b"onetwo"

    def half():
        with growing_file(place / "b.bin") as write:
            write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert [path.name for path in place.iterdir()] == ["a.bin"]
