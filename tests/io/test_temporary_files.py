import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from diffusionrig.cli import main
from diffusionrig.io import temporary_files as module
from diffusionrig.io.files import write_text
from diffusionrig.io.frame_sequences import write_frame_folder
from diffusionrig.io.temporary_files import sweep, sweep_again, temporary_name

NAMES = ["face.png", "[1] a*b?.png", "[", "ümläut.png", "ö" * 127, "n" * 255, "with\nline.png", ".hidden"]

LEAVE = """
import os, signal, sys
from diffusionrig.io.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave(file):
    """What a writer of ``file`` that is killed leaves behind."""
    subprocess.run([sys.executable, "-c", LEAVE, os.fsencode(file)], check=False)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_writer_left_goes_with_the_next_write(tmp_path, name):
    leave(tmp_path / name)
    assert len(left := os.listdir(tmp_path)) == 1
    assert left[0].startswith(".")
    assert left[0].endswith(".tmp")
    sweep_again()
    write_text(tmp_path / "another", "whole")
    assert os.listdir(tmp_path) == ["another"]
    write_text(tmp_path / name, "whole")
    assert sorted(os.listdir(tmp_path)) == sorted(["another", name])


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_text(tmp_path / name, "whole")
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.png"]
    leave(tmp_path / name)
    sweep(tmp_path)
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.png"]


def test_folders_are_swept_too(tmp_path):
    (gone := temporary_name(tmp_path / "clip")).mkdir()
    gone = gone.rename(tmp_path / gone.name.replace(f"-{os.getpid()}-", "-999999999-"))
    (gone / "1.png").write_text("half")
    sweep_again()
    write_frame_folder(tmp_path / "clip", [])
    assert os.listdir(tmp_path) == ["clip"]


def test_what_others_write_or_own_stays(tmp_path):
    mine = temporary_name(tmp_path / "a")
    mine.write_text("being written")
    here = mine.name.split(".")[2].split("-")[0]
    others = [f".a.{here}-1-abcdef.tmp", f".a.000000-{os.getpid()}-abcdef.tmp", ".a.000000-999999999-abcdef.tmp", ".a.tmp",
              "a.999999999-abcdef.tmp", ".a.999999999-abcdef.tmp.png", ".a.x-999999999-abcdefg.tmp"]
    for name in others:
        (tmp_path / name).write_text("not ours")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*others, mine.name])
    # What another machine began is left behind after a day.
    old = time.time() - 2 * module.FOREIGN
    for name in others[:3]:
        os.utime(tmp_path / name, (old, old))
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([others[0], *others[3:], mine.name])


def test_a_link_is_swept_and_what_it_leads_to_is_not(tmp_path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "photo.png").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".album.999999999-abcdef.tmp").symlink_to(tmp_path / "album")
    sweep(tmp_path / "out")
    assert os.listdir(tmp_path / "out") == []
    assert (tmp_path / "album" / "photo.png").exists()


def test_a_folder_is_looked_through_once_a_command(tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(module, "sweep", swept.append)
    sweep_again()
    threads = [threading.Thread(target=write_text, args=(tmp_path / f"{i}", "x")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert swept == [tmp_path]
    assert main(["inspect", str(tmp_path / "nowhere")]) == 2
    write_text(tmp_path / "a", "x")
    assert swept == [tmp_path] * 2


def test_align_sweeps_every_folder_it_writes_to(tmp_path):
    from diffusionrig.io.assets import asset_path

    photo = Path(asset_path("portrait.jpg")).read_bytes()
    for place in ("", "sub"):
        (tmp_path / "in" / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / place / "[me].jpg").write_bytes(photo)
        (tmp_path / "out" / place).mkdir(parents=True, exist_ok=True)
        leave(tmp_path / "out" / place / "[me].png")
        assert len(list((tmp_path / "out" / place).glob(".*.tmp"))) == 1
    assert main(["align", "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-s", "64"]) == 0
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        "[me].png", "report.json", "sub/[me].png"]
