"""Clips that drive the face of the page, asked without a browser."""

import io
import shlex
import threading

import numpy as np
import pytest
from moving_faces import moving_clip, moving_gif, seat, sitting_of
from PIL import Image
from studio_pages import PORTRAIT

from diffusionrig.cli import command_parser, main
from diffusionrig.cli import edit as edit_command
from diffusionrig.editing.clip import Drive, run_clip
from diffusionrig.editing.driving import Driving
from diffusionrig.editing.order import Order
from diffusionrig.editing.provenance import read_provenance
from diffusionrig.io.movies import movie_info
from diffusionrig.studio import clips_driven as driven_module
from diffusionrig.studio import clips_listener as listener_module
from diffusionrig.studio.clips import Clips
from diffusionrig.studio.clips_file import Limits

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


def two_faces():
    """PNG of two portraits, a large one and a small one."""
    portrait = Image.open(PORTRAIT).convert("RGB").crop((60, 0, 428, 512))
    group = Image.new("RGB", (768, 512), (120, 120, 120))
    group.paste(portrait, (0, 0))
    group.paste(portrait.resize((276, 384)), (430, 64))
    buffer = io.BytesIO()
    group.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_clip_drives_the_face_and_is_the_file_that_edit_writes(studio, reference_rig, clip, tmp_path):
    studio.photograph(two_faces(), "us.png")
    with studio.page() as page:
        page.say(type="face", number=2)
        while page.until(type="state")["photo"]["number"] != 2:
            pass
    studio.post("api/preset?name=p.json", b'{"kind": "diffusionrig preset", "move": {"brows": 0.3}}')
    assert lay(studio, clip).status_code == 200
    with studio.page() as page:
        desk = page.until(type="desk", kind="clip")
        assert {key: desk["file"][key] for key in ("name", "frames", "fps", "width", "sound")} == {
            "name": "drive.mp4", "frames": 6, "fps": 25.0, "width": 256, "sound": True}
        ask(page, "draw", wish=WISH)
        desk = ended(page)
        assert (desk["job"]["ended"], desk["job"]["done"], desk["job"]["person"]) == ("done", 6, "us.png")
        assert desk["made"]["notes"] == []
        phases = [message["job"]["phase"] for message in page.texts if message["type"] == "desk" and message["job"]]
        assert list(dict.fromkeys(phases)) == ["waiting", "tracking", "drawing"]
        header, pictures = page.frames[-1]
        assert header["kind"] == "clip"
        assert [np.asarray(Image.open(io.BytesIO(part))).shape for part in pictures] == [(64, 64, 3), (256, 256, 3)]
    (tmp_path / "taken.mp4").write_bytes(studio.get("api/desk/clip/video.mp4").content)
    kept = studio.get("api/desk/clip/video.mp4?keep=1").headers["content-disposition"]
    assert kept == "attachment; filename*=UTF-8''us-drive.mp4"
    # The command that the page shows, run where the files are.
    (tmp_path / "us.png").write_bytes(two_faces())
    (tmp_path / "drive.mp4").write_bytes(clip)
    words = shlex.split(desk["made"]["command"])
    assert words[:3] == ["diffusionrig", "edit", "us.png"]
    args = command_parser("edit").parse_args(words[2:])
    order = Order(str(tmp_path / args.picture), str(tmp_path / args.target), edit_command._edits(args), str(tmp_path / "out"),
                  edit_command._sampling(args), align_source=None, face=args.face)
    report = run_clip(reference_rig, order, Drive(args.relative, args.fps, track=args.track))
    written = tmp_path / "out" / report["outputs"][0]["file"]
    assert (tmp_path / "taken.mp4").read_bytes() == written.read_bytes()
    assert read_provenance(tmp_path / "taken.mp4")["moves"] == {"brows": 0.3}
    assert movie_info(tmp_path / "taken.mp4").sound_seconds == pytest.approx(6 / 25, abs=0.05)


HEARD = {"sample": 2, "seed": 1, "added": True}


def listened(page):
    """The desk after a listener was asked for and drawn, in the order that the page tells."""
    ask(page, "draw", "listener", wish=HEARD)
    desk = ended(page, "listener")
    assert (desk["job"]["ended"], desk["job"]["error"]) == ("done", "")
    assert desk["made"]["beside"] == ["reactions_3dmm.npy", "mean_face.npy"]
    phases = [message["job"]["phase"] for message in page.texts if message["type"] == "desk" and message["job"]]
    assert list(dict.fromkeys(phases)) == ["waiting", "listening", "reacting", "drawing"]
    return desk


def test_a_listener_reacts_to_a_speaker(studio, clip, monkeypatch):
    waves = np.sin(np.arange(6)[:, None] + np.arange(58)) / 10 + 0.1
    looked = []

    def seen(frames, encoder, on_frame):
        for _ in frames:
            looked.append(1)
            on_frame(1)
        return waves

    monkeypatch.setattr(listener_module, "seen_speaker", seen)
    seat(studio)
    assert lay(studio, clip, "she.mp4", "listener").status_code == 200
    with studio.page() as page:
        listened(page)
        first = studio.get("api/desk/listener/video.mp4").content
        made = np.load(io.BytesIO(studio.get("api/desk/listener/beside?name=reactions_3dmm.npy").content))
        assert made.shape == (10, 6, 58)
        assert studio.get("api/desk/listener/beside?name=../request.json").status_code == 400
        # Another reaction of the same speaker is another video, and nobody is looked at again.
        ask(page, "draw", "listener", wish={**HEARD, "sample": 5})
        assert "--k 5 --rest photo --seed 1" in ended(page, "listener")["made"]["command"]
        assert studio.get("api/desk/listener/video.mp4").content != first
        assert len(looked) == 6


@pytest.mark.slow
def test_a_listener_is_what_react_render_draws(studio, reference_rig, clip, tmp_path, monkeypatch):
    studio.photograph(name="me.jpg")
    assert lay(studio, clip, "she.mp4", "listener").status_code == 200
    with studio.page() as page:
        desk = listened(page)
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


def noisy(count=3):
    return [np.full((64, 64, 3), 40 + 30 * number, np.uint8) for number in range(count)]


def bad_clips(folder):
    still = io.BytesIO()
    Image.fromarray(noisy(1)[0]).save(still, "PNG")
    whole = moving_clip(folder / "cut.mp4", 3)
    large = moving_clip(folder / "large.mp4", frames=[np.zeros((2400, 2400, 3), np.uint8)] * 2, sound=False)
    long = moving_clip(folder / "long.mp4", frames=noisy(1) * 40, sound=False)
    return {"empty.mp4": (b"", "empty.mp4"), "text.mp4": (b"this is no video at all", "text.mp4 cannot be decoded"),
            "page.mp4": (b"<!doctype html><html></html>", "page.mp4"), "still.png": (still.getvalue(), "still.png is no clip"),
            "me.jpg": (PORTRAIT.read_bytes(), "me.jpg is no clip"), "notes.txt": (b"words", "notes.txt is no clip"),
            "half.mp4": (whole[:len(whole) // 3], "half.mp4"), "large.mp4": (large, "2400 x 2400 pixels"),
            "long.mp4": (long, "40 frames. Clips may have"),
            "heavy.mp4": (bytes(400_001), "heavy.mp4 is too large. Clips may have 0.4 MB")}


def test_bad_clips_are_a_sentence_and_leave_the_one_that_lies_there(studio, tmp_path):
    desk = shop(studio).desks["clip"]
    desk.limits = Limits(400_000, 30, 5.0)
    good = moving_gif(3)
    assert lay(studio, good, "moving.gif").status_code == 200
    there = desk.file
    for name, (data, words) in bad_clips(tmp_path).items():
        answer = lay(studio, data, name)
        assert answer.status_code in {400, 422}, name
        text = answer.json()["error"]
        assert words in text, name
        assert "diffusionrig-studio" not in text
        assert desk.file is there
    assert studio.get("api/desk/clip/first.jpg").headers["content-type"] == "image/jpeg"
    # Nothing of those that were refused is kept.
    kept = {path for path in there.path.parent.parent.rglob("*") if path.is_file()}
    assert kept == {there.path}


def test_a_clip_without_end_is_not_read_to_it(studio):
    def stream():
        for _ in range(1000):
            sent.append(1)
            yield bytes(100_000)

    sent = []
    shop(studio).desks["clip"].limits = Limits(upload=1_000_000)
    answer = lay(studio, stream())
    assert answer.status_code == 400
    assert "too large" in answer.json()["error"]


def test_what_is_asked_at_the_wrong_time_or_wrongly_is_a_sentence(studio, clip):
    with studio.page() as page:
        def told(do, kind="clip", **values):
            ask(page, do, kind, **values)
            error = page.until(type="error")
            assert error["where"] == kind
            return error["text"]

        assert "No clip is open yet" in told("draw", wish=WISH)
        assert lay(studio, clip).status_code == 200
        assert "No photograph is open yet" in told("draw", wish=WISH)
        assert lay(studio, clip, "../../etc/../passwd.mp4").status_code == 200
        assert shop(studio).desks["clip"].file.path.name == "passwd.mp4"
        seat(studio)
        assert "Nothing is taken" in told("draw", wish={**WISH, "take": {"exp": 0.0}})
        for wish in (None, [], {**WISH, "track": "perhaps"}, {**WISH, "relative": 1}, {**WISH, "take": {"latent": 1.0}}):
            told("draw", wish=wish)
        for wish in ({**HEARD, "sample": 10}, {**HEARD, "seed": -1}, {**HEARD, "added": None}, {}):
            told("draw", "listener", wish=wish)
        assert "'explode'" in told("explode")
        assert "'desk of nobody'" in told("draw", "desk of nobody")
        assert studio.get("api/desk/clip/video.mp4").json()["error"] == "No video has been drawn yet."
        assert studio.get("api/desk/listener/first.jpg").status_code == 400
        assert studio.get("api/desk/nowhere/video.mp4").status_code == 400


def test_a_clip_without_a_face_fails_with_the_sentence_of_edit(studio, tmp_path):
    seat(studio)
    assert lay(studio, moving_clip(tmp_path / "grey.mp4", frames=noisy(), sound=False), "grey.mp4").status_code == 200
    with studio.page() as page:
        ask(page, "draw", wish=WISH)
        job = ended(page)["job"]
        assert job["ended"] == "failed"
        assert job["error"] == "No face was found in any frame of grey.mp4; give a clip that shows one."


def held(studio, monkeypatch, after=2):
    """A clip is followed at once, and drawing waits after some frames; the first event says that it does, the second lets it go
    on."""
    reached, go = threading.Event(), threading.Event()
    code = sitting_of(studio.session.rig).prepared.faces.code

    def capture(frames, count, *rest):
        for _ in frames:
            rest[-1](1)
        return Driving(code.repeat(count), np.zeros(count, np.uint8))

    monkeypatch.setattr(driven_module, "capture_clip", capture)
    draw = driven_module.draw_clip

    def slow(*arguments):
        for number, frame in enumerate(draw(*arguments)):
            yield frame
            if number + 1 == after:
                reached.set()
                assert go.wait(60)

    monkeypatch.setattr(driven_module, "draw_clip", slow)
    return reached, go


def test_a_job_goes_on_without_its_page_is_there_for_the_next_and_can_be_cancelled(studio, clip, monkeypatch):
    seat(studio)
    reached, go = held(studio, monkeypatch)
    lay(studio, clip)
    with studio.page() as page:
        ask(page, "draw", wish=WISH)
        assert reached.wait(60)
    with studio.page() as one, studio.page() as other:
        for page in (one, other):
            desk = page.until(type="desk", kind="clip")
            assert (desk["job"]["phase"], desk["job"]["ended"]) == ("drawing", "")
            assert desk["wish"] == WISH
            assert page.until(type="frame", kind="clip")["job"] == desk["job"]["number"]
        other.say(type="desk", where="x", kind="clip", do="draw", wish=WISH)
        assert "being drawn already" in other.until(type="error")["text"]
        assert "cancel it first" in lay(studio, clip).json()["error"]
        seat(studio)
        ask(one, "cancel")
        go.set()
        assert ended(other)["job"]["ended"] == "cancelled"
        assert studio.get("api/desk/clip/video.mp4").status_code == 400
        # What was seen of the clip is remembered.
        ask(other, "draw", wish={**WISH, "take": {"pose": 1.0}})
        desk = ended(other)
        phases = {message["job"]["phase"] for message in other.texts
                  if message["type"] == "desk" and message["job"] and message["job"]["number"] == desk["job"]["number"]}
        assert "tracking" not in phases
        ask(one, "remove")
        assert one.until(type="desk", file=None)["made"] is None
    assert not [path for path in shop(studio)._shop._scratch.place.rglob("*") if path.is_file()]


def test_the_studio_ends_in_the_middle_of_a_job_and_leaves_nothing(studio, clip, monkeypatch):
    seat(studio)
    reached, go = held(studio, monkeypatch)
    lay(studio, clip)
    with studio.page() as page:
        ask(page, "draw", wish=WISH)
        assert reached.wait(60)
    place = shop(studio)._shop._scratch.place
    assert place.is_dir()
    studio.client.__exit__(None, None, None)
    go.set()
    assert not place.exists()
    studio.client.__enter__()


def test_a_stranger_cannot_ask_for_clips(studio, clip):
    assert studio.client.post("/wrong-token/api/desk/clip?name=a.mp4", content=clip).status_code == 404
    assert studio.post("api/desk/clip?name=a.mp4", clip, headers={"Origin": "http://elsewhere.example"}).status_code == 403
    assert shop(studio).desks["clip"].file is None
