"""Paths that surprise: names too long, links to themselves, pipes, devices, holes, folders that may not be searched."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import atomic_path, existing_file, make_folder, read_bytes, read_json, sha256_of, write_json
from diffusionrig.io.images import find_files, find_images, read_image
from diffusionrig.io.paths import HOLLOW
from diffusionrig.io.temporary_files import LONGEST, fitting, temporary_name
from diffusionrig.io.unread import unread_files
from diffusionrig.io.video import find_videos

READERS = (lambda path: existing_file(path, "file"), read_bytes, read_json, read_image, sha256_of)


@pytest.mark.parametrize("read", READERS)
def test_pipes_sockets_and_devices_are_refused_at_once(read, tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(RigError, match="is a pipe, but an ordinary file"):
        read(tmp_path / "pipe.png")
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        with pytest.raises(RigError, match="is a socket"):
            read(Path("socket.png"))
    with pytest.raises(RigError, match="is a device"):
        read(Path("/dev/zero"))


@pytest.mark.parametrize("read", READERS)
def test_names_too_long_and_links_to_themselves(read, tmp_path):
    with pytest.raises(RigError, match="File name too long; give a shorter name"):
        read(tmp_path / ("n" * 256))
    os.symlink("loop", tmp_path / "loop")
    with pytest.raises(RigError, match="leads back to itself"):
        read(tmp_path / "loop")
    with pytest.raises(RigError, match="null byte"):
        read(Path("a\0b"))


def test_a_file_of_holes_is_refused(tmp_path):
    with open(tmp_path / "model.safetensors", "wb") as file:
        file.write(b"start")
        file.truncate(HOLLOW + 1)
    with pytest.raises(RigError, match="mostly holes"):
        existing_file(tmp_path / "model.safetensors", "checkpoint")


def test_the_advice_fits_the_cause(tmp_path):
    with pytest.raises(RigError, match="give a shorter name"), atomic_path(tmp_path / ("n" * 300)) as temporary:
        temporary.write_bytes(b"")
    with pytest.raises(RigError, match="see that its folder is there"), atomic_path(tmp_path / "no" / "file") as temporary:
        temporary.write_bytes(b"")
    with pytest.raises(RigError, match="give a shorter name"):
        make_folder(tmp_path / ("n" * 300))


@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "日" * 85, os.fsdecode(b"\xff" * 250), "[a]*?" * 51])
def test_long_legal_names_can_be_written(name, tmp_path):
    assert len(os.fsencode(temporary_name(tmp_path / name).name)) <= LONGEST
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_bytes(b"whole")
    assert os.listdir(tmp_path) == [name]


def test_names_that_are_made_longer_still_fit():
    assert fitting("short", ".png") == "short.png"
    long = fitting("é" * 126, "_1.png")
    assert len(os.fsencode(long)) <= LONGEST
    assert long.endswith("_1.png")
    assert fitting("é" * 126 + "a", "_1.png") != fitting("é" * 126 + "b", "_1.png")


def test_a_report_keeps_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"\xff\xe9.png")
    write_json(tmp_path / "report.json", {"file": name})
    (tmp_path / "report.json").read_text(encoding="utf-8")
    assert read_json(tmp_path / "report.json") == {"file": name}


def test_a_folder_of_strange_things_is_walked(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    os.symlink(".", tmp_path / "again")
    os.symlink("self.png", tmp_path / "self.png")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert [file.name for file in find_images(tmp_path)] == ["a.png", "self.png"]
    assert [file.name for file in find_videos(tmp_path)] == ["pipe.mp4"]
    assert unread_files(tmp_path, [tmp_path / "a.png"], tmp_path / "self.png") == [tmp_path / "pipe.mp4", tmp_path / "self.png"]


def test_folders_within_folders_without_end(tmp_path):
    before = os.getcwd()
    os.chdir(tmp_path)
    depth = 0
    try:
        while depth < 1200:
            os.mkdir("d")
            depth += 1
            os.chdir("d")
        Path("a.png").write_bytes(b"x")
        assert [file.name for file in find_images(tmp_path)] == ["a.png"]
    finally:
        # Left behind, it would end every later test run: shutil.rmtree of Python 3.11 takes a call for each level.
        Path("a.png").unlink(missing_ok=True)
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")
        os.chdir(before)
    assert os.listdir(tmp_path) == []


SEARCH = """
import os, sys
from diffusionrig.io.images import find_files, read_image
from diffusionrig.io.unread import unread_files
from diffusionrig.errors import RigError
os.seteuid(65534)
files = find_files(sys.argv[1])
print([file.name for file in files], [file.name for file in unread_files(sys.argv[1], files[:1])])
for file in files:
    try:
        read_image(file)
    except RigError as error:
        print(error)
try:
    find_files(sys.argv[1] + "/closed")
except RigError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be somebody else")
def test_a_folder_that_may_not_be_searched_ends_no_run(tmp_path):
    for folder, rights in (("closed", 0o000), ("unsearchable", 0o444)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "b.png").write_bytes(b"x")
        (tmp_path / folder).chmod(rights)
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "a.png").chmod(0)
    for place in (tmp_path, *(folder for folder in tmp_path.parents if folder.name.startswith(("pytest-", "popen-")))):
        place.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", SEARCH, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "['a.png', 'closed', 'b.png'] ['closed', 'b.png']"
    assert sum("Permission denied; change its rights" in line for line in lines) == 3
    assert "is a folder" in done.stdout


def test_root_that_is_absent_or_no_folder(tmp_path):
    with pytest.raises(UsageError, match="There is no folder"):
        find_files(tmp_path / "no")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is a file"):
        find_files(tmp_path / "file")
