import json

import numpy as np
import pytest

from diffusionrig.errors import UsageError
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.images import write_png
from diffusionrig.io.own_files import own_arrays, own_marks, own_picture, own_report, own_text, require_own

BLANK = np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(("content", "own"), [
    ({"command": "capture"}, True), ({"command": "align", "software": 1, "images": []}, False),
    ({"software": 1, "images": []}, True), ({"software": 1}, False), ([], False), ({}, False)])
def test_reports(tmp_path, content, own):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(content))
    assert own_report("capture", "software", "images")(file) is own
    file.write_bytes(b"{")
    assert not own_report("capture")(file)


def test_pictures(tmp_path):
    file = tmp_path / "contact_sheet.png"
    known = own_picture("capture", "software", "images")
    write_png(file, BLANK, own_marks("capture"))
    assert known(file)
    write_png(file, BLANK, own_marks("align"))
    assert not known(file)
    write_png(file, BLANK)
    assert not known(file)
    (tmp_path / "report.json").write_text(json.dumps({"software": "diffusionrig 0.1", "images": []}))
    assert known(file)  # of before pictures were marked
    (tmp_path / "report.json").write_text(json.dumps({"command": "capture", "software": "diffusionrig 0.1", "images": []}))
    assert not known(file)
    write_png(file, BLANK, {"Comment": "AI-edited"})
    assert own_text("Comment", "AI-edited")(file)
    file.write_bytes(b"no picture")
    assert not known(file)
    assert not own_text("Comment", "AI-edited")(file)


def test_arrays(tmp_path):
    file = tmp_path / "codes.npz"
    write_array_file(file, {"shape": np.zeros(3), "head": np.array("x")})
    assert own_arrays("shape", "head")(file)
    assert not own_arrays("shape", "files")(file)
    np.save(tmp_path / "codes.npy", np.zeros(3))
    assert not own_arrays("shape")(tmp_path / "codes.npy")


def test_what_is_somebody_elses_is_refused_by_name(tmp_path):
    tests = {"a.json": own_report("x"), "b.json": own_report("x")}
    require_own(tmp_path / "nowhere", tests, "--to")
    (tmp_path / "a.json").write_text('{"command": "x"}')
    require_own(tmp_path, tests, "--to")
    for make in (lambda file: file.write_text("{}"), lambda file: file.mkdir(), lambda file: file.symlink_to("nowhere")):
        make(tmp_path / "b.json")
        with pytest.raises(UsageError, match=r"b\.json was not written by this command.*choose another --to or move it away"):
            require_own(tmp_path, tests, "--to")
        if (tmp_path / "b.json").is_dir():
            (tmp_path / "b.json").rmdir()
        else:
            (tmp_path / "b.json").unlink()
