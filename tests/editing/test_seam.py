"""Where the parts of an editing run meet: what the command asks for is what is drawn, and what its files say of it."""

import json

import numpy as np
import pytest
from PIL import Image
from seed_faces import SeedEncoder, face_code, photo

from diffusionrig.capture.encoder import Capture
from diffusionrig.cli import main
from diffusionrig.editing import capturing as capturing_module
from diffusionrig.editing import rig as rig_module
from diffusionrig.editing.controls import parse_modes
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.editing.request import Request
from diffusionrig.editing.sampling import Sampling
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import DEFAULT_HEAD
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint
from diffusionrig.io.images import read_image
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import contact_sheet

CONSENT = "Ada agreed on 3 May"
SEED, STRENGTH, SLIDERS, MOVES = 7, 0.5, {"yaw": 15.0}, {"jawOpen": 0.25}
SET = "yaw=15,jawOpen=+0.25"
SAMPLING = Sampling(respacing="ddim2", solver="ddim", seed=SEED)
SHIFT = {"EARLY": 0, "LATE": 40}


class Named(SeedEncoder):
    """One of two encoders that take the same photograph for different faces, and say who they are."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, images):
        seeds = [int(image[0, 0, 0]) for image in images]
        seen = super().encode(images)
        codes = FaceCode.concatenate([face_code(seed + SHIFT[self.name]) for seed in seeds])
        return Capture(codes, seen.found, [f"{self.name} doubts {seed}" for seed in seeds])


@pytest.fixture(scope="module")
def place(tmp_path_factory, checkpoint):
    """A personal model, a source, a target, a clip of four frames."""
    root = tmp_path_factory.mktemp("seam")
    tensors, meta = load_checkpoint(checkpoint)
    save_checkpoint(root / "ada.safetensors", tensors, {**meta, "stage": 2, "consent": CONSENT})
    (root / "frames").mkdir()
    for name, seed in (("ada.png", 1), ("other.png", 3), *((f"frames/{number}.png", 4 + number) for number in range(4))):
        Image.fromarray(photo(seed)).save(root / name)
    return root


@pytest.fixture(scope="module")
def rig(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(capturing_module, "make_encoder", lambda name, head, device, options: Named(name))
        for module in (capturing_module, rig_module):
            patch.setattr(module, "best_encoder", lambda head="": "EARLY")
        patch.setattr(rig_module, "usual_head", lambda name: DEFAULT_HEAD)
        yield rig_module.Rig.from_pretrained(place / "ada.safetensors", device="cpu", precision="fp32")


def run(place, target: str, out: str, *words: str):
    """The report of ``diffusionrig edit``, and the folder of its results."""
    assert main(["edit", "--model_path", str(place / "ada.safetensors"), "--source", str(place / "ada.png"), "--target",
                 str(place / target), "--strength", str(STRENGTH), "--seed", str(SEED), "--set", SET, "--source_model", "EARLY",
                 "--target_model", "LATE", "--timestep_respacing", "ddim2", "--precision", "fp32", "--device", "cpu",
                 "--output_dir", str(place / out), *words]) == 0
    return json.loads((place / out / "report.json").read_text()), place / out


@pytest.fixture(scope="module")
def pictures(rig, place):
    return run(place, "other.png", "pictures", "--modes", "exp,light", "--align_source", "False")


@pytest.fixture(scope="module")
def clip(rig, place):
    return run(place, "frames", "clip", "--modes", "exp", "--clip", "True", "--fps", "12.5")


def drawn(rig, source: int, target: int, mode: str, encoders=("EARLY", "LATE"), strength: float = STRENGTH):
    faces = [rig.capture(photo(seed), name) for seed, name in zip((source, target), encoders)]
    (edit,) = parse_modes(mode, strength, SET)
    return next(rig.edit_many(*faces, [Request(0, 0, edit)], sampling=SAMPLING)).image.astype(int)


def apart(first: np.ndarray, second: np.ndarray) -> int:
    return int(np.abs(first.astype(int) - second).max())


def test_the_source_is_drawn_with_what_the_target_shows(rig, pictures):
    _, folder = pictures
    for name in ("exp", "light"):
        picture = read_image(folder / f"{('exp', 'light').index(name)}_{name}.png")
        assert apart(picture, drawn(rig, 1, 3, name)) <= 1
        for other in (drawn(rig, 3, 1, name), drawn(rig, 1, 3, name, ("LATE", "EARLY")), drawn(rig, 1, 3, name, strength=1)):
            assert apart(picture, other) > 8  # else nothing above could fail


def test_pictures_say_how_they_were_made(rig, pictures):
    _, folder = pictures
    for name in ("0_exp", "1_light"):
        record = read_provenance(folder / f"{name}.png")
        assert record["intact"]
        assert {key: record[key] for key in ("model", "mode", "seed", "strength", "sliders", "moves")} == {
            "model": rig.pretrained.hash, "mode": name[2:], "seed": SEED, "strength": STRENGTH, "sliders": SLIDERS, "moves": MOVES}


@pytest.mark.parametrize("kind", ["pictures", "clip"])
def test_the_report_says_who_agreed_and_what_was_asked(rig, place, kind, request):
    report, _ = request.getfixturevalue(kind)
    asked = report["request"]
    assert report["model"]["consent"] == CONSENT
    assert (report["model"]["hash"], asked["model"]) == (rig.pretrained.hash, rig.pretrained.hash)
    assert asked["source"] == str(place / "ada.png")
    assert asked["target"] == str(place / {"pictures": "other.png", "clip": "frames"}[kind])
    assert asked["encoders"] == ["EARLY", "LATE"]
    assert (asked["sampling"]["seed"], asked["sampling"]["respacing"]) == (SEED, "ddim2")
    for edit in asked["edits"]:
        assert (edit["strength"], dict(edit["sliders"]), dict(edit["moves"])) == (STRENGTH, SLIDERS, MOVES)


def test_the_report_of_pictures_names_both_sides_and_their_doubts(pictures, place):
    report, _ = pictures
    for entry in report["outputs"][1:]:
        assert (entry["source"], entry["target"]) == (str(place / "ada.png"), str(place / "other.png"))
    assert [(entry["file"].rpartition("/")[2], entry["doubt"]) for entry in report["doubts"]] == [
        ("ada.png", "EARLY doubts 1"), ("other.png", "LATE doubts 3")]


def test_frames_are_drawn_from_the_clip_and_say_how(rig, clip):
    report, folder = clip
    for frame in (0, 3):
        picture = folder / "0_exp" / f"frame_{frame}.png"
        assert apart(read_image(picture), drawn(rig, 1, 4 + frame, "exp")) <= 1
        record = read_provenance(picture)
        assert {key: record[key] for key in ("model", "mode", "seed", "strength", "sliders", "moves", "frame", "intact")} == {
            "model": rig.pretrained.hash, "mode": "exp", "seed": SEED, "strength": STRENGTH, "sliders": SLIDERS, "moves": MOVES,
            "frame": frame, "intact": True}
    movie = read_provenance(folder / "0_exp.mp4")
    assert {key: movie[key] for key in ("model", "mode", "seed", "strength", "sliders", "moves")} == {
        "model": rig.pretrained.hash, "mode": "exp", "seed": SEED, "strength": STRENGTH, "sliders": SLIDERS, "moves": MOVES}
    assert (report["clip"]["frames"], report["clip"]["fps"]) == (4, 12.5)


def test_the_strip_goes_from_the_first_frame_to_the_last(clip):
    _, folder = clip
    strip, cell = read_image(folder / "0_exp_strip.png").copy(), 128
    rows = [[resize_square(photo(4 + number), cell) for number in range(4)],
            [np.zeros((32, 32, 3), np.uint8)] * 4,
            [resize_square(read_image(folder / "0_exp" / f"frame_{number}.png"), cell) for number in range(4)]]
    wanted = contact_sheet(rows, [f"frame {number}" for number in range(4)], ["clip", "buffers", "result"]).copy()
    assert strip.shape == wanted.shape
    buffers = slice(-2 * cell - 12, -cell - 4)  # a row that is not known here
    for sheet in (strip, wanted):
        sheet[buffers, -4 * (cell + 4):] = 0
    assert np.array_equal(strip, wanted)
