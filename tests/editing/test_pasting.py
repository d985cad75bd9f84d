"""Edited faces back in their photographs: exact where nothing changed, in the right place where something did."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from diffusionrig.cli import main, run_command
from diffusionrig.editing.controls import Edit
from diffusionrig.editing.order import Order
from diffusionrig.editing.pasting import paste_back
from diffusionrig.editing.photographs import cut_face, find_cuts, in_photograph
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.sampling import Sampling
from diffusionrig.editing.session import run_session
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.alignment import align
from diffusionrig.faces.landmarker import FaceLandmarker
from diffusionrig.faces.placement import PLACEMENT, read_placement
from diffusionrig.io.assets import asset_path
from diffusionrig.io.images import read_image, read_png_text, write_png
from diffusionrig.io.resize import resize_square

# 68 points of an upright face that leans by some degrees: eyes, mouth corners, the rest somewhere.
TILT = np.deg2rad(9.0)


def points68(centre: tuple[float, float], reach: float) -> np.ndarray:
    """Landmarks whose FFHQ square, leaning by TILT, has half sides of about 2 x ``reach`` pixels."""
    points = np.zeros((68, 2))
    turn = np.array([[np.cos(TILT), -np.sin(TILT)], [np.sin(TILT), np.cos(TILT)]])
    for rows, place in ((slice(36, 42), (-0.5, -0.4)), (slice(42, 48), (0.5, -0.4)), (48, (-0.35, 0.6)), (54, (0.35, 0.6))):
        points[rows] = turn @ (np.array(place) * reach) + centre
    return points


def smooth_photo(height: int, width: int) -> np.ndarray:
    """Soft colours, far from the ends of the range."""
    rng = np.random.default_rng(5)
    coarse = rng.uniform(60, 190, (8, 9, 3)).astype(np.float32)
    return np.rint(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)).clip(0, 255).astype(np.uint8)


def inner(photo: np.ndarray, matrix: np.ndarray, size: int, margin: float) -> np.ndarray:
    """Photo pixels that lie in the square, at least ``margin`` of its side from its border; negative: beyond it."""
    y, x = np.mgrid[:photo.shape[0], :photo.shape[1]]
    u, v = (matrix[row, 0] * x + matrix[row, 1] * y + matrix[row, 2] + 0.5 for row in range(2))
    return np.minimum(np.minimum(u, size - u), np.minimum(v, size - v)) > margin * size


@pytest.mark.parametrize(("reach", "network"), [(60.0, 64), (60.0, 256), (14.0, 64), (100.0, 64)])
def test_an_unchanged_face_leaves_every_bit(reach, network):
    photo = np.random.default_rng(1).integers(0, 256, (300, 340, 3), dtype=np.uint8)
    cut = align(photo, points68((170, 140), reach), 256)
    face = resize_square(cut.image, network)
    assert np.array_equal(paste_back(photo, face, face, cut.matrix, 256), photo)


@pytest.mark.parametrize(("reach", "network", "levels"), [(60.0, 256, 1.0), (60.0, 64, 1.5), (20.0, 64, 1.5), (14.0, 256, 1.5)])
def test_another_picture_arrives_in_the_right_place_at_every_scale(reach, network, levels):
    photo, other = smooth_photo(300, 340), smooth_photo(340, 300).transpose(1, 0, 2)
    points = points68((170, 140), reach)
    cut = align(photo, points, 256)
    before, after = (resize_square(align(picture, points, 256).image, network) for picture in (photo, other))
    pasted = paste_back(photo, after, before, cut.matrix, 256)
    inside = inner(photo, cut.matrix, 256, 0.13)
    assert inside.sum() > 300
    error = np.abs(pasted.astype(int) - other)
    assert error[inside].mean() < levels
    assert np.quantile(error[inside], 0.99) < 4 * levels
    assert np.array_equal(pasted[~inner(photo, cut.matrix, 256, 0)], photo[~inner(photo, cut.matrix, 256, 0)])
    # half a pixel off would be seen: the same picture, shifted by one photo pixel, fits far worse
    assert np.abs(np.roll(pasted, 1, 1).astype(int) - other)[inside].mean() > error[inside].mean()


def test_fine_detail_stays_under_new_light_and_goes_under_new_shapes():
    rng = np.random.default_rng(2)
    photo = np.clip(128 + rng.normal(0, 12, (300, 340, 3)), 0, 255).astype(np.uint8)
    cut = align(photo, points68((170, 140), 60), 256)
    before = resize_square(cut.image, 64)
    lit, shaped = before.astype(int) + 30, before.copy()
    shaped[28:36, 20:44] = 20
    inside = inner(photo, cut.matrix, 256, 0.13)
    brighter = paste_back(photo, lit.astype(np.uint8), before, cut.matrix, 256)
    assert np.abs(brighter.astype(int) - photo - 30)[inside].max() <= 1
    mouth = paste_back(photo, shaped, before, cut.matrix, 256)
    dark = mouth[mouth.mean(2) < 40]
    assert len(dark) > 100
    assert dark.std() < 6


def test_a_square_beyond_the_photo_changes_only_the_photo():
    photo = smooth_photo(120, 140)
    cut = align(photo, points68((10, 10), 20), 64)
    pasted = paste_back(photo, np.zeros_like(cut.image), cut.image, cut.matrix, 64)
    assert pasted.shape == photo.shape
    assert (pasted[:10, :10] < 40).all()
    far = np.array([[1.0, 0.0, 1e4], [0.0, 1.0, 1e4], [0.0, 0.0, 1.0]])
    assert np.array_equal(paste_back(photo, np.zeros_like(cut.image), cut.image, far, 64), photo)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """The portrait lying on its side as EXIF says, aligned by the command: (photograph, upright pixels, folder of faces)."""
    root = tmp_path_factory.mktemp("album")
    upright = np.ascontiguousarray(read_image(asset_path("portrait.jpg"))[:240, 100:350])
    exif = Image.Exif()
    exif[0x0112] = 6
    (root / "imgs" / "trip").mkdir(parents=True)
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(root / "imgs" / "trip" / "me.jpg", quality=95, exif=exif)
    assert run_command("align", ["-i", str(root / "imgs"), "-o", str(root / "faces"), "-s", "128"]) == 0
    return root / "imgs", read_image(root / "imgs" / "trip" / "me.jpg"), root / "faces" / "trip" / "me.png"


def test_align_records_the_place_and_paste_back_finds_it(album):
    imgs, upright, face = album
    place = read_placement(face)
    assert (place.photo, place.size) == ("trip/me.jpg", 128)
    report = json.loads((imgs.parent / "faces" / "report.json").read_text())
    assert place.matrix.tolist() == report["files"][0]["faces"][0]["photo_to_aligned"]
    for where in (imgs, imgs / "trip" / "me.jpg"):
        (cut,) = find_cuts([face], where)
        aligned = read_image(face)
        assert np.array_equal(in_photograph(cut, upright, aligned, aligned), upright)
        changed = in_photograph(cut, upright, 255 - aligned, aligned)
        outside = ~inner(upright, place.matrix, 128, 0)
        assert np.array_equal(changed[outside], upright[outside])
        assert (changed[inner(upright, place.matrix, 128, 0.2)] != upright[inner(upright, place.matrix, 128, 0.2)]).mean() > 0.9
    image, cut = cut_face(upright, imgs / "trip" / "me.jpg", FaceLandmarker(), 128)
    assert np.array_equal(image, read_image(face))
    assert np.array_equal(cut.matrix, place.matrix)


def test_what_does_not_belong_together_is_refused(album, tmp_path):
    imgs, upright, face = album
    write_png(tmp_path / "other.png", upright)
    plain = tmp_path / "plain.png"
    write_png(plain, read_image(face))
    text = read_png_text(face)
    damaged, escaping = tmp_path / "damaged.png", tmp_path / "escaping.png"
    write_png(damaged, read_image(face), {**text, PLACEMENT: '{"matrix": [[1, 2], [3]], "size": 128}'})
    write_png(escaping, read_image(face), {**text, "Source": "../../me.jpg"})
    for path, where, words in ((face, tmp_path / "other.png", "is not the file"), (face, tmp_path, "which is not in"),
                               (face, tmp_path / "nowhere", "no photograph at"), (plain, imgs, "--align_source True"),
                               (imgs / "trip" / "me.jpg", imgs, "no PNG file of diffusionrig align"),
                               (damaged, imgs, "damaged"), (escaping, imgs, "outside of")):
        with pytest.raises(UsageError, match=words):
            find_cuts([path], where)
    with pytest.raises(RigError, match="no face was found"):
        cut_face(np.zeros((64, 64, 3), np.uint8), tmp_path / "x.png", FaceLandmarker(), 64)


def test_a_run_writes_photographs_with_provenance(rig, album, tmp_path):
    imgs, upright, face = album
    order = Order(source=str(face), target="", edits=[Edit("set", (), 1.0, (("yaw", 15.0),))], output_dir=str(tmp_path / "a"),
                  sampling=Sampling(respacing="ddim2"), paste_back=str(imgs))
    report = run_session(rig, order)
    pasted = [entry.get("pasted") for entry in report["outputs"]]
    assert pasted == [None, "pasted/0_set.png"]
    record = read_provenance(tmp_path / "a" / "pasted" / "0_set.png")
    assert record["intact"]
    assert (record["photo"], record["mode"], record["model"]) == ("me.jpg", "set", rig.pretrained.hash)
    whole = read_image(tmp_path / "a" / "pasted" / "0_set.png")
    assert whole.shape == upright.shape
    outside = ~inner(upright, read_placement(face).matrix, 128, 0)
    assert np.array_equal(whole[outside], upright[outside])
    assert (whole != upright).any()
    direct = dataclasses.replace(order, source=str(imgs / "trip"), output_dir=str(tmp_path / "b"), align_source=True, paste_back="")
    write_png(imgs / "trip" / "nobody.png", np.zeros((64, 64, 3), np.uint8))
    report = run_session(rig, direct)
    (problem,) = report["problems"]
    assert problem["problem"].startswith("no face was found; give a photograph that")
    assert read_image(tmp_path / "b" / "pasted" / "0_set.png").shape == upright.shape
    (imgs / "trip" / "nobody.png").unlink()
    for change, words in (({"paste_back": ""}, "--align_source True"), ({"align_source": True}, "leave one of them out")):
        with pytest.raises(UsageError, match=words):
            run_session(rig, dataclasses.replace(order, output_dir=str(tmp_path / "c"), **change))


@pytest.mark.parametrize("flag", ["--paste-back", "--paste_back"])
def test_the_command_takes_both_spellings_and_explains_itself(flag, rig, checkpoint, album, tmp_path, capsys):
    imgs, upright, face = album
    words = ["edit", "--model_path", str(checkpoint), "--source", str(face), "--set", "jawOpen=0.5",
             "--timestep_respacing", "ddim2", "--output_dir", str(tmp_path / "out")]
    assert main([*words, flag]) == 2
    error = capsys.readouterr().err
    assert "--paste_back needs the photograph" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert main([*words, flag, str(imgs), "--keep", "background"]) == 0
    assert read_image(tmp_path / "out" / "pasted" / "0_set.png").shape == upright.shape
