"""create-data: every image is accounted for, killed runs continue, any number of ranks gives the same store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from store_fakes import FakeEncoder, FakeHead
from warm import Warm

from diffusionrig.cli.create_data import run as run_command
from diffusionrig.data.batches import render_codes
from diffusionrig.data.creation import CreationOptions, create_store
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.editing.pretrained import read_mean_shape
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.png import decode_png
from diffusionrig.io.store import StoreReader, open_store
from diffusionrig.training.distributed import Launch, World

ALONE = World(Launch(), torch.device("cpu"), "none")


def paint(path: Path, seed: int, size: tuple[int, int] = (40, 40), brightness: int = 200) -> None:
    """A noisy picture of one mean colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    colour = random.uniform(0.7, 1.0, 3) * brightness
    pixels = np.clip(colour + random.normal(0, 6, (size[1], size[0], 3)) * (brightness > 0), 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    for i in range(7):
        paint(tmp_path / "photos" / f"{i // 4:05d}" / f"{i}.{('png', 'JPG', 'bmp')[i % 3]}", i)
    return tmp_path / "photos"


def create(folders, output, encoder=None, **changes):
    folders = folders if isinstance(folders, tuple) else (folders,)
    options = CreationOptions(tuple(map(str, folders)), str(output), **{"image_size": 32, "batch_size": 2, **changes})
    return create_store(options, encoder or FakeEncoder(), FakeHead(), ALONE)


def contents(path):
    """Everything a store says about its records, for comparison."""
    store = open_store(path)
    records = [store.record(i) for i in range(len(store))]
    return [(r.source, r.image, r.fields, {k: v.tobytes() for k, v in r.arrays.items()},
             None if r.buffers is None else r.buffers.tobytes()) for r in records]


def test_every_image_is_found_and_stored(folder, tmp_path):
    report = create(folder, tmp_path / "s")
    assert (report["found"], report["used"], report["flagged"], report["refused"]) == (7, 7, 0, 0)
    assert json.loads((tmp_path / "s" / "report.json").read_text())["used"] == 7
    store = open_store(tmp_path / "s")
    assert [store.record(i).source for i in range(7)] == sorted(
        f"photos/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.*"))
    assert store.header["complete"]
    assert store.header["encoder"] == "FAKE"
    assert store.header["head_hash"] == FakeHead.hash
    sample = FaceStoreDataset(tmp_path / "s", head=FakeHead()).item(0)
    assert sample.image.shape == (3, 32, 32)
    # The code's frame is the photograph as it was captured, not as it is stored.
    assert sample.code.frame.tolist() == [[40, 40]]


def test_what_cannot_be_used_is_counted_with_its_reason(folder, tmp_path):
    paint(folder / "black.png", 0, brightness=0)
    paint(folder / "dark.png", 1, brightness=60)
    paint(folder / "wide.png", 2, size=(60, 40))
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes((folder / "00000" / "1.JPG").read_bytes()[:400])
    (folder / "notes.txt").write_text("not an image")
    (folder / "raw.NEF").write_bytes(b"raw")
    report = create(folder, tmp_path / "s")
    assert (report["found"], report["used"], report["flagged"], report["refused"]) == (13, 9, 1, 4)
    assert [Path(file).name for file in report["unread"]] == ["raw.NEF"]
    reasons = {Path(row["source"]).name: row["reason"] for row in report["refused_images"]}
    assert reasons.keys() == {"black.png", "text.png", "empty.jpg", "cut.jpg"}
    assert "No face" in reasons["black.png"]
    assert "not an image" in reasons["text.png"]
    assert "empty" in reasons["empty.jpg"]
    assert [row["source"] for row in report["flagged_images"]] == ["photos/dark.png"]
    store = open_store(tmp_path / "s")
    fields = {record.source: record.fields for record in map(store.record, range(len(store)))}
    assert fields["photos/dark.png"]["flagged"] is True
    assert "centred square" in fields["photos/wide.png"]["note"]

    report = create(folder, tmp_path / "dropped", drop_flagged=True)
    assert (report["used"], report["flagged"], report["refused"]) == (8, 0, 5)


def test_the_centred_square_is_stored(tmp_path):
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 16:48] = 255
    (tmp_path / "p").mkdir()
    Image.fromarray(pixels).save(tmp_path / "p" / "wide.png")
    create(tmp_path / "p", tmp_path / "s")
    assert decode_png(open_store(tmp_path / "s").record(0).image, 32, "x").min() == 255


def test_several_folders_and_equal_names(folder, tmp_path):
    paint(tmp_path / "other" / "photos" / "00000" / "0.png", 50)
    report = create((folder, tmp_path / "other" / "photos", folder), tmp_path / "s")
    assert report["found"] == 8
    store = open_store(tmp_path / "s")
    sources = [store.record(i, image=False).source for i in range(8)]
    assert sources[0] == "photos/00000/0.png"
    assert sources[-1] == "photos#2/00000/0.png"


def test_the_store_may_lie_inside_the_data_folder(folder):
    create(folder, folder / "store")
    Image.new("RGB", (8, 8)).save(folder / "store" / "inspect.png")
    assert create(folder, folder / "store")["found"] == 7


def test_a_second_run_captures_only_what_is_new(folder, tmp_path):
    (folder / "bad.png").write_text("no picture")
    create(folder, tmp_path / "s")
    before = contents(tmp_path / "s")
    encoder = FakeEncoder()
    report = create(folder, tmp_path / "s", encoder)
    assert encoder.seen == 0
    assert (report["used"], report["refused"]) == (7, 1)
    paint(folder / "new.png", 9)
    report = create(folder, tmp_path / "s", encoder)
    assert encoder.seen == 1
    assert report["used"] == 8
    assert contents(tmp_path / "s")[:7] == before


def test_a_store_of_another_kind_is_not_continued(folder, tmp_path):
    create(folder, tmp_path / "s")
    with pytest.raises(UsageError, match="begun with image_size 32, not 16"):
        create(folder, tmp_path / "s", image_size=16)
    encoder = FakeEncoder()
    encoder.name = "OTHER"
    with pytest.raises(UsageError, match="begun with encoder 'FAKE', not 'OTHER'"):
        create(folder, tmp_path / "s", encoder)


def test_nothing_to_use_is_an_error(tmp_path):
    (tmp_path / "p").mkdir()
    with pytest.raises(UsageError, match="No image files"):
        create(tmp_path / "p", tmp_path / "s")
    with pytest.raises(UsageError, match="no folder"):
        create(tmp_path / "absent", tmp_path / "s")
    paint(tmp_path / "p" / "black.png", 0, brightness=0)
    with pytest.raises(RigError, match=r"None of the 1 images could be used: No face was found\."):
        create(tmp_path / "p", tmp_path / "s")
    assert json.loads((tmp_path / "s" / "report.json").read_text())["refused"] == 1


def test_mean_shape_is_the_average_of_the_used_codes(folder, tmp_path):
    create(folder, tmp_path / "s", use_meanshape=True)
    plain, used = open_store(tmp_path / "s"), FaceStoreDataset(tmp_path / "s")
    shapes = np.stack([plain.record(i).arrays["shape"] for i in range(7)])
    assert shapes.std(0).min() > 0
    assert np.allclose(plain.header["mean_shape"], shapes.mean(0), atol=1e-6)
    assert np.allclose(used.item(4).code.shape, shapes.mean(0), atol=1e-6)
    assert np.allclose(read_mean_shape(tmp_path / "s" / "mean_shape.npy", 4), shapes.mean(0), atol=1e-6)


@pytest.mark.parametrize("kind", ["uint8", "float16"])
@pytest.mark.parametrize("mean", [False, True])
def test_stored_buffers_are_those_that_would_be_rendered(folder, tmp_path, kind, mean):
    create(folder, tmp_path / "codes", use_meanshape=mean)
    create(folder, tmp_path / "s", use_meanshape=mean, store_buffers=kind)
    rendered, stored = FaceStoreDataset(tmp_path / "codes"), FaceStoreDataset(tmp_path / "s")
    for i in range(7):
        expected = render_codes(rendered.item(i).code, FakeHead(), 32)[0]
        assert (stored.item(i).buffers - expected).abs().max() < (0.01 if kind == "uint8" else 0.001)
    if mean:
        paint(folder / "new.png", 100, brightness=255)
        with pytest.raises(RigError, match="still read or written elsewhere in this process"):
            create(folder, tmp_path / "s", use_meanshape=True, store_buffers=kind)
        before = stored.mean_shape
        del stored
        create(folder, tmp_path / "s", use_meanshape=True, store_buffers=kind)
        grown = FaceStoreDataset(tmp_path / "s")
        assert not torch.allclose(grown.mean_shape, before)
        expected = render_codes(grown.item(0).code, FakeHead(), 32)[0]
        assert (grown.item(0).buffers - expected).abs().max() < 0.01
        del grown
        with pytest.raises(UsageError, match="were drawn with --use_meanshape True"):
            create(folder, tmp_path / "s", store_buffers=kind)


def test_affectnet_csv_npy_and_class_folders(tmp_path):
    root = tmp_path / "Manually_Annotated_Images"
    paint(root / "689" / "AbC.jpg", 0)
    paint(root / "1" / "zzz.jpg", 1)
    (tmp_path / "training.csv").write_text(
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n"
        "689/abc.jpg,134,134,899,899,1.5;2.5;3,6,-0.5,0.75\n")
    (tmp_path / "validation.csv").write_text("1/zzz.jpg,1,2,3,4,5;6,10,-2,-2\n")
    paint(tmp_path / "train_set" / "images" / "0.jpg", 2)
    notes = tmp_path / "train_set" / "annotations"
    notes.mkdir()
    np.save(notes / "0_exp.npy", np.array("1"))
    np.save(notes / "0_val.npy", np.array("0.78"))
    np.save(notes / "0_aro.npy", np.float64(0.1))
    np.save(notes / "0_lnd.npy", np.arange(136.0))
    paint(tmp_path / "classes" / "Surprise" / "a.png", 3)
    create((root, tmp_path / "train_set", tmp_path / "classes"), tmp_path / "s")
    store = open_store(tmp_path / "s")
    fields = {record.source: record.fields for record in map(store.record, range(len(store)))}
    assert fields["Manually_Annotated_Images/689/AbC.jpg"] == {
        "subDirectory_filePath": "689/abc.jpg", "face_x": 134, "face_y": 134, "face_width": 899, "face_height": 899,
        "facial_landmarks": [1.5, 2.5, 3], "expression": 6, "valence": -0.5, "arousal": 0.75, "expression_name": "anger"}
    assert fields["Manually_Annotated_Images/1/zzz.jpg"]["expression_name"] == "no face"
    annotated = fields["train_set/images/0.jpg"]
    assert (annotated["expression_name"], annotated["valence"], annotated["arousal"]) == ("happy", 0.78, 0.1)
    assert annotated["landmarks"] == list(range(136))
    assert fields["classes/Surprise/a.png"] == {"expression": 3, "expression_name": "surprise"}


def test_a_label_array_that_would_run_code_refuses_its_picture(tmp_path):
    from processes import Touch

    paint(tmp_path / "p" / "images" / "0.jpg", 0)
    paint(tmp_path / "p" / "images" / "1.jpg", 1)
    (tmp_path / "p" / "annotations").mkdir()
    np.save(tmp_path / "p" / "annotations" / "0_exp.npy", np.array([Touch(tmp_path / "ran")], object), allow_pickle=True)
    report = create(tmp_path / "p", tmp_path / "s")
    assert (report["used"], report["refused"]) == (1, 1)
    assert "0_exp.npy" in report["refused_images"][0]["reason"]
    assert not (tmp_path / "ran").exists()


SCRIPT = Path(__file__).parent / "run_creation.py"


def start(folder, output, *words, launcher):
    return subprocess.Popen([*launcher, sys.executable, str(SCRIPT), str(folder), str(output), *words],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
                            env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for_records(output, count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if len(StoreReader(output)) >= count:
                return
        except RigError:
            pass  # not there yet
        time.sleep(0.02)
    pytest.fail("the store did not grow")


def test_a_killed_run_continues_where_it_was(folder, tmp_path):
    for i in range(10, 30):
        paint(folder / f"{i}.png", i)
    (folder / "12.png").write_text("no picture")
    create(folder, tmp_path / "whole")
    process = Warm(f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')", [folder, tmp_path / "s", "seconds=0.3"])
    wait_for_records(tmp_path / "s", 6)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    store = open_store(tmp_path / "s")
    done = len(store) + len(store.refused())
    assert not store.header["complete"]
    assert 6 <= done < 27
    del store
    encoder = FakeEncoder()
    report = create(folder, tmp_path / "s", encoder)
    assert encoder.seen in (27 - done, 26 - done)  # the unreadable one is not captured
    assert (report["found"], report["used"], report["refused"]) == (27, 26, 1)
    assert contents(tmp_path / "s") == contents(tmp_path / "whole")


@pytest.mark.skipif(not (Path(sys.executable).parent / "mpiexec").exists(), reason="mpiexec is not installed")
def test_ranks_share_the_work_and_give_the_same_store(folder, tmp_path):
    (folder / "bad.png").write_text("no picture")
    create(folder, tmp_path / "whole", use_meanshape=True, store_buffers="uint8")
    mpiexec = (str(Path(sys.executable).parent / "mpiexec"), "-n", "2")
    process = start(folder, tmp_path / "s", "buffers=uint8", "mean=1", launcher=mpiexec)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    # Lines of two ranks may be joined on their way; beside the progress, the numbers are those that were captured.
    quiet = re.sub(r"create-data:[^\n]*?left", "", output)
    captured = sorted(int(number) for number in re.findall(r"\d+", quiet))
    assert sum(captured) == 7, output
    assert captured[0] >= 3
    assert [row[:4] for row in contents(tmp_path / "s")] == [row[:4] for row in contents(tmp_path / "whole")]
    one, other = open_store(tmp_path / "s"), open_store(tmp_path / "whole")
    assert one.header == other.header
    assert one.refused() == other.refused()
    for i in range(7):
        assert np.abs(one.record(i).buffers - other.record(i).buffers).max() < 0.01


def test_the_command_wants_its_folders():
    from diffusionrig.cli import command_parser

    with pytest.raises(UsageError, match="--data_dir"):
        run_command(command_parser("create-data").parse_args(["--output_dir", "x"]))


def test_pictures_of_the_right_size_are_stored_unchanged(folder, tmp_path):
    create(folder, tmp_path / "s", image_size=40)
    pixels = np.asarray(Image.open(folder / "00000" / "0.png"))
    stored = open_store(tmp_path / "s").record(0).image
    assert np.array_equal(decode_png(stored, 40, "x"), pixels)


@pytest.mark.parametrize("name", ["report.json", "mean_shape.npy"])
def test_files_of_somebody_else_are_kept(folder, tmp_path, name):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / name).write_text("{}")
    with pytest.raises(UsageError, match=f"{name} was not written by this command"):
        create(folder, tmp_path / "s", use_meanshape=True)
    assert [(file.name, file.read_text()) for file in (tmp_path / "s").iterdir()] == [(name, "{}")]
    (tmp_path / "s" / name).unlink()
    create(folder, tmp_path / "s", use_meanshape=True)
    # Its own are written anew, those too of before reports named their command.
    report = json.loads((tmp_path / "s" / "report.json").read_text())
    assert report.pop("command") == "create-data"
    (tmp_path / "s" / "report.json").write_text(json.dumps(report))
    assert create(folder, tmp_path / "s", use_meanshape=True)["used"] == 7
