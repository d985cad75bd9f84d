import json
import os
import threading

import pytest

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import atomic_path, existing_file, make_folder, read_json, sha256_of, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_no_leftovers(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        fail_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_two_writers_never_mix(tmp_path):
    path = tmp_path / "a.txt"
    texts = [letter * 200_000 for letter in "ab"]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert os.listdir(tmp_path) == ["a.txt"]


def test_json_comes_back_and_nan_is_refused(tmp_path):
    write_json(tmp_path / "r.json", {"a": [1, "ü"]})
    assert read_json(tmp_path / "r.json") == {"a": [1, "ü"]}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "n.json", {"a": float("nan")})
    assert not (tmp_path / "n.json").exists()
    (tmp_path / "bad.json").write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(RigError, match=r"bad\.json is not valid JSON"):
        read_json(tmp_path / "bad.json")


def test_folders_and_files_that_cannot_be_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file, but a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(UsageError, match="There is no model at"):
        existing_file(tmp_path / "none", "model")
    with pytest.raises(UsageError, match="is a folder"):
        existing_file(tmp_path, "model")
    with pytest.raises(RigError, match="Cannot read"):
        sha256_of(tmp_path / "none")


def test_sha256_is_the_standard_one(tmp_path):
    write_text(tmp_path / "abc", "abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
