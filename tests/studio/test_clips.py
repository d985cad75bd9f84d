"""Clips that drive the face of the page, asked without a browser."""

import io
import shlex

import numpy as np
import pytest
from moving_faces import moving_clip
from PIL import Image
from studio_pages import PORTRAIT

from diffusionrig.cli import command_parser, main
from diffusionrig.cli import edit as edit_command
from diffusionrig.editing.clip import Drive, run_clip
from diffusionrig.editing.order import Order
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.io.movies import movie_info
from diffusionrig.studio.clips import Clips

pytestmark = pytest.mark.timeout(120)

WISH = {"take": {"exp": 1.0, "pose": 0.5}, "relative": True, "track": "auto"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return moving_clip(tmp_path_factory.mktemp("clip") / "drive.mp4")


def shop(studio):
    return next(panel for panel in studio.session.panels if isinstance(panel, Clips))


def lay(studio, data, name="drive.mp4", kind="clip"):
    return studio.post(f"api/desk/{kind}?name={name}", data)


def ask(page, do, kind="clip", **values):
    page.say(type="desk", where=kind, kind=kind, do=do, **values)


def ended(page, kind="clip"):
    """The desk when its job has ended."""
    while True:
        desk = page.until(type="desk", kind=kind)
        if desk["job"] and desk["job"]["ended"]:
            return desk


def test_a_clip_drives_the_face_and_is_the_file_that_edit_writes(studio, reference_rig, clip, tmp_path):
    studio.photograph(name="me.jpg")
    studio.post("api/preset?name=p.json", b'{"kind": "diffusionrig preset", "move": {"brows": 0.3}}')
    assert lay(studio, clip).status_code == 200
    with studio.page() as page:
        desk = page.until(type="desk", kind="clip")
        assert {key: desk["file"][key] for key in ("name", "frames", "fps", "width", "sound")} == {
            "name": "drive.mp4", "frames": 6, "fps": 25.0, "width": 256, "sound": True}
        ask(page, "draw", wish=WISH)
        desk = ended(page)
        assert (desk["job"]["ended"], desk["job"]["done"], desk["job"]["person"]) == ("done", 6, "me.jpg")
        assert desk["made"]["notes"] == []
        phases = [message["job"]["phase"] for message in page.texts if message["type"] == "desk" and message["job"]]
        assert list(dict.fromkeys(phases)) == ["waiting", "tracking", "drawing"]
        header, pictures = page.frames[-1]
        assert header["kind"] == "clip"
        assert [np.asarray(Image.open(io.BytesIO(part))).shape for part in pictures] == [(64, 64, 3), (256, 256, 3)]
    (tmp_path / "taken.mp4").write_bytes(studio.get("api/desk/clip/video.mp4").content)
    kept = studio.get("api/desk/clip/video.mp4?keep=1").headers["content-disposition"]
    assert kept == "attachment; filename*=UTF-8''me-drive.mp4"
    # The command that the page shows, run where the files are.
    (tmp_path / "me.jpg").write_bytes(PORTRAIT.read_bytes())
    (tmp_path / "drive.mp4").write_bytes(clip)
    words = shlex.split(desk["made"]["command"])
    assert words[:3] == ["diffusionrig", "edit", "me.jpg"]
    args = command_parser("edit").parse_args(words[2:])
    order = Order(str(tmp_path / args.picture), str(tmp_path / args.target), edit_command._edits(args), str(tmp_path / "out"),
                  edit_command._sampling(args), align_source=None)
    report = run_clip(reference_rig, order, Drive(args.relative, args.fps, track=args.track))
    written = tmp_path / "out" / report["outputs"][0]["file"]
    assert (tmp_path / "taken.mp4").read_bytes() == written.read_bytes()
    assert read_provenance(tmp_path / "taken.mp4")["moves"] == {"brows": 0.3}
    assert movie_info(tmp_path / "taken.mp4").sound_seconds == pytest.approx(6 / 25, abs=0.05)


HEARD = {"sample": 2, "seed": 1, "added": True}


def test_a_listener_reacts_to_a_speaker_and_is_what_react_render_draws(studio, reference_rig, clip, tmp_path, monkeypatch):
    studio.photograph(name="me.jpg")
    assert lay(studio, clip, "she.mp4", "listener").status_code == 200
    with studio.page() as page:
        ask(page, "draw", "listener", wish=HEARD)
        desk = ended(page, "listener")
        assert (desk["job"]["ended"], desk["job"]["error"]) == ("done", "")
        assert desk["made"]["beside"] == ["reactions_3dmm.npy", "mean_face.npy"]
        phases = [message["job"]["phase"] for message in page.texts if message["type"] == "desk" and message["job"]]
        assert list(dict.fromkeys(phases)) == ["waiting", "listening", "reacting", "drawing"]
    taken = studio.get("api/desk/listener/video.mp4").content
    (tmp_path / "me.jpg").write_bytes(PORTRAIT.read_bytes())
    (tmp_path / "she.mp4").write_bytes(clip)
    for name in desk["made"]["beside"]:
        (tmp_path / name).write_bytes(studio.get(f"api/desk/listener/beside?name={name}").content)
    reactions = np.load(tmp_path / "reactions_3dmm.npy")
    assert reactions.shape == (10, 6, 58)
    assert np.abs(reactions[2] - reactions[3]).max() > 0.01
    words = shlex.split(desk["made"]["command"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("diffusionrig.editing.rig.Rig.from_pretrained", lambda path, **options: reference_rig)
    assert main(words[1:]) == 0
    (written,) = (tmp_path / "log" / "listener").rglob("b1_ind3.mp4")
    assert written.read_bytes() == taken
    assert read_provenance(written)["mode"] == "reaction"
