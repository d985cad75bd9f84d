"""UniFR's h5 files: rows on their own, shapes held against the published ones."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from diffusionrig.cli import main
from diffusionrig.errors import RigError, UsageError
from diffusionrig.reactions.corpus import ClipId
from diffusionrig.reactions.corpus.unifr import FIELDS, TOKEN_SHAPE, TOKENS, UnifrFile

NAMES = ["NoXI/001_2016-03-17_Paris/Expert_video/1", "UDIVA/talk/005013/FC1/16", "RECOLA/group-2/P41/2"]


def _write(path: Path, **changes) -> Path:
    """A file of three rows, chunked as the published are; action units pooled to keep it small."""
    with h5py.File(path, "w") as file:
        file["s_name"] = changes.pop("s_name", NAMES)
        for key, shapes in FIELDS.items():
            shape = changes.pop(key, (3, *shapes[-1]))
            if shape is not None:
                file.create_dataset(key, shape, "i4" if key == "is_face" else "f4", chunks=(1, *shape[1:]), fillvalue=1)
        file.create_dataset(TOKENS, (3, *TOKEN_SHAPE), "i4", chunks=(1, *TOKEN_SHAPE))
    return path


def test_rows_are_read_alone(tmp_path: Path) -> None:
    path = _write(tmp_path / "val_sequential.h5")
    with h5py.File(path, "r+") as file:
        for row in range(3):
            file["s_MFCC"][row] = row
    with UnifrFile(path) as features:
        assert len(features) == 3
        assert features.clips[1] == ClipId("UDIVA", "talk/005013", "FC1", "16")
        assert features.row_of(features.clips[2]) == 2
        assert set(features.fields) == {*FIELDS, TOKENS}
        first, second = features.read(1), features.read(2, ["s_MFCC"])
        assert {key: value.shape for key, value in first.items()} == {
            **{key: shapes[-1] for key, shapes in FIELDS.items()}, TOKENS: TOKEN_SHAPE}
        # A second read must not write into what the first returned: shared buffers spoil batches.
        assert (first["s_MFCC"] == 1).all()
        assert (second["s_MFCC"] == 2).all()
        with pytest.raises(RigError, match="rows 0 to 2, not 3"):
            features.read(3)
        with pytest.raises(RigError, match="no features of NoXI/9/Expert_video/1"):
            features.row_of(ClipId.parse("NoXI/9/Expert_video/1"))


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"s_MFCC": None}, "lacks the field s_MFCC"),
    ({"s_MFCC": (3, 750, 13)}, r"s_MFCC of .* has the shape \(3, 750, 13\), but \(3, 750, 26\) is needed"),
    ({"is_face": (2, 750)}, r"is_face of .* has the shape \(2, 750\)"),
    ({"s_name": ["a", *NAMES[1:]]}, "Row 0 of s_name in .*: 'a' is no clip")])
def test_each_fault_is_one_sentence(tmp_path: Path, changes: dict, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "x.h5", **changes)
    with pytest.raises(RigError, match=sentence):
        UnifrFile(path)
    assert main(["react", "check", str(path)]) == 1
    assert "1 damaged" in capsys.readouterr().out


def test_values_that_are_not_finite_and_clips_without_a_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _write(tmp_path / "x.h5")
    assert main(["react", "check", str(path)]) == 0
    with h5py.File(path, "r+") as file:
        file["s_VA"][1, 3, 5] = np.nan
        file["s_GeMaplld"][1, 3] = np.nan
        file["is_face"][2] = 0
    assert main(["react", "check", str(path)]) == 1
    out = capsys.readouterr().out
    assert "s_VA is not finite, first at [3, 5]." in out
    assert "No frame shows a face." in out
    assert "2 problems" in out


def test_no_file_outside_is_followed(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.h5", s_MFCC=None)
    other = _write(tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        file["s_MFCC"] = h5py.ExternalLink(str(other), "s_MFCC")
    with pytest.raises(RigError, match="lacks the field s_MFCC"):
        UnifrFile(path)
    (tmp_path / "cut.h5").write_bytes(path.read_bytes()[:2000])
    with pytest.raises(RigError, match=r"cut\.h5 is no HDF5 file or is cut off"):
        UnifrFile(tmp_path / "cut.h5")
    with pytest.raises(UsageError, match="There is no h5 file"):
        UnifrFile(tmp_path / "none.h5")
