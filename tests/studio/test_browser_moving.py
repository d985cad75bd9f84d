"""Clip, listener and camera in headless Chromium, as a person uses them."""

import numpy as np
import pytest
from browsing import NAMELESS, load, needs_chromium
from chromium import Chromium
from moving_faces import jpeg_of, moving_clip, portrait_frames
from studio_pages import PORTRAIT

from diffusionrig.editing.provenance import read_provenance

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280), needs_chromium]

FAKE = ("--use-fake-device-for-media-stream",)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A camera's film: the portrait, swaying."""
    path = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    path.write_bytes(b"".join(map(jpeg_of, portrait_frames(12, 384))))
    return path


@pytest.fixture(scope="module")
def browser(address, film):
    with Chromium(1280, 860, ["--use-fake-ui-for-media-stream", *FAKE, f"--use-file-for-fake-video-capture={film}"]) as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    browser.events.clear()
    begin(browser, address)
    return browser


def begin(browser, address, mode=""):
    load(browser, f"{address}{mode}")
    if browser.run("document.body.dataset.open") == "no":
        browser.drop(PORTRAIT, 640, 430)
        browser.wait("document.body.dataset.seen")


def go(page, mode):
    page.run(f"document.querySelector('#go-{mode}').click()")
    page.wait(f"!document.querySelector('#moving-{mode}').hidden")


def text(page, selector):
    return page.run(f"document.querySelector('{selector}').textContent")


def look(page, selector):
    """The pixels of a canvas or a video, 32 by 32."""
    data = page.run(f"""(() => {{ const c = new OffscreenCanvas(32, 32), p = c.getContext('2d');
      p.drawImage(document.querySelector('{selector}'), 0, 0, 32, 32); return [...p.getImageData(0, 0, 32, 32).data]; }})()""")
    return np.array(data).reshape(32, 32, 4)[..., :3]


def ended(page, kind, how="done"):
    page.wait(f"document.body.dataset.{kind}Job === '{how}'", 120)


def test_a_clip_is_dropped_watched_played_and_taken_away(page, tmp_path):
    clip = tmp_path / "drive.mp4"
    moving_clip(clip, 10)
    # A video that is dropped on the photograph is for the panel of clips.
    page.drop(clip, 640, 430)
    page.wait("document.querySelector('#clip-name').textContent === 'drive.mp4'")
    assert page.run("document.body.dataset.view") == "clip"
    assert "10 frames" in text(page, "#clip-facts")
    page.wait("Number(document.querySelector('#clip-driver').dataset.painted) > 0")
    page.run("document.querySelector('#slider-clip-pose-number').focus()")
    page.run("document.querySelector('#slider-clip-pose-number').select()")
    for letter in ("0", ".", "5"):
        page.key(letter)
    page.run("document.querySelector('#clip-draw').click()")
    page.wait("Number(document.querySelector('#clip-drawn').dataset.painted) > 2")
    first = look(page, "#clip-drawn")
    page.wait("Number(document.querySelector('#clip-drawn').dataset.painted) > 5")
    assert np.abs(look(page, "#clip-drawn") - first).max() > 20
    ended(page, "clip")
    page.wait("document.querySelector('#clip-video').readyState > 1")
    assert page.run("document.querySelector('#clip-video').videoWidth") == 256
    assert page.run("document.querySelector('#clip-video').duration") == pytest.approx(0.4, abs=0.05)
    shown = look(page, "#clip-video")
    page.run("document.querySelector('#clip-video').muted = true; document.querySelector('#clip-video').play()")
    page.until(lambda: np.abs(look(page, "#clip-video") - shown).max() > 10, "the video plays")
    page.run("document.querySelector('#clip-keep').click()")
    taken = page.downloads / "portrait-drive.mp4"
    page.until(lambda: taken.exists() and taken.stat().st_size, "the video")
    assert read_provenance(taken)["strengths"] == {"pose": 0.5, "exp": 1.0}
    page.run("document.querySelector('#clip-recipe').click()")
    page.wait("document.querySelector('#desk-recipe').open")
    assert "--strength pose=0.5,exp=1 --relative True" in text(page, "#desk-command")
    page.run("document.querySelector('#desk-recipe').close()")
    assert page.complaints() == []


def test_a_job_is_cancelled_and_another_goes_on_through_a_reload(page, address, tmp_path):
    clip = tmp_path / "long.mp4"
    moving_clip(clip, 60)
    go(page, "clip")
    page.drop(clip, 640, 430)
    page.wait("document.querySelector('#clip-name').textContent === 'long.mp4'")
    page.run("document.querySelector('#clip-draw').click()")
    page.wait("document.body.dataset.clipJob === 'drawing'")
    assert text(page, "#clip-draw") == "Cancel"
    page.run("document.querySelector('#clip-draw').click()")
    ended(page, "clip", "cancelled")
    assert text(page, "#clip-line") == "Cancelled."
    page.run("document.querySelector('#clip-draw').click()")
    page.wait("Number(document.querySelector('#clip-bar').value) > 0.1 && document.body.dataset.clipJob === 'drawing'")
    begin(page, address, "#clip")
    assert page.run("document.body.dataset.view") == "clip"
    page.wait("['drawing', 'done'].includes(document.body.dataset.clipJob)")
    ended(page, "clip")
    assert "60 frames" in text(page, "#clip-line")
    page.run("document.querySelector('#clip-remove').click()")
    page.wait("!document.querySelector('#moving-clip .dropzone').hidden")
    assert page.complaints() == []


def test_a_bad_clip_is_a_sentence_beside_the_panel(page, tmp_path):
    wrong = tmp_path / "wrong.mp4"
    wrong.write_text("no video")
    go(page, "clip")
    page.drop(wrong, 640, 430)
    assert "wrong.mp4 cannot be decoded" in page.wait("document.querySelector('[data-error=clip-file]').textContent")


def test_a_speaker_is_listened_to(page, tmp_path):
    clip = tmp_path / "speaker.mp4"
    moving_clip(clip, 10)
    go(page, "listener")
    page.drop(clip, 640, 430)
    page.wait("document.querySelector('#listener-name').textContent === 'speaker.mp4'")
    page.run("document.querySelector('#listener-sample').value = 4")
    page.run("document.querySelector('#listener-draw').click()")
    ended(page, "listener")
    page.wait("document.querySelector('#listener-video').readyState > 1")
    assert page.run("document.querySelector('#listener-video').videoWidth") == 512
    page.run("document.querySelector('#listener-recipe').click()")
    assert "--k 4" in text(page, "#desk-command")
    page.run("document.querySelector('#desk-beside button').click()")
    taken = page.downloads / "reactions_3dmm.npy"
    page.until(lambda: taken.exists() and taken.stat().st_size, "the reactions")
    assert np.load(taken).shape == (10, 10, 58)
    page.run("document.querySelector('#desk-recipe').close()")
    assert page.complaints() == []


def test_the_camera_is_drawn_and_let_go(page):
    go(page, "camera")
    page.run("document.querySelector('#camera-start').click()")
    page.wait("/^[0-9.]+ pictures a second · latency \\d+ ms .median., \\d+ ms .95th percentile.$/"
              ".test(document.querySelector('#camera-line').textContent)")
    page.run("document.querySelector('#camera-rest').click()")
    before = look(page, "#camera-drawn")
    page.until(lambda: np.abs(look(page, "#camera-drawn") - before).max() > 10, "the face moves")
    page.run("window.track = document.querySelector('#camera-video').srcObject.getVideoTracks()[0]")
    assert page.run("window.track.readyState") == "live"
    page.run("document.querySelector('#camera-start').click()")
    assert page.run("window.track.readyState") == "ended"
    assert page.run("document.body.dataset.camera") == "off"
    # Leaving the panel frees it too.
    page.run("document.querySelector('#camera-start').click()")
    page.wait("document.body.dataset.camera === 'on'")
    go(page, "clip")
    assert page.run("document.body.dataset.camera") == "off"
    assert page.complaints() == []


@pytest.mark.parametrize(("flags", "words"), [((), "no camera on this machine"), (FAKE, "did not allow the camera")])
def test_no_camera_and_none_allowed_are_sentences(address, flags, words):
    with Chromium(1280, 860, flags) as other:
        begin(other, address, "#camera")
        other.run("document.querySelector('#camera-start').click()")
        told = other.wait("document.querySelector('[data-error=camera]').textContent")
        assert words in told
        assert text(other, "#camera-start") == "Start camera"
        assert other.complaints() == []


def test_every_control_has_a_name_and_no_panel_runs_over(page):
    for mode in ("clip", "listener", "camera"):
        go(page, mode)
        assert page.run(NAMELESS) == []
        others = "[...document.querySelectorAll('.moving video, .moving progress')]"
        assert page.run(f"{others}.every((e) => e.getAttribute('aria-label'))")
        for width, height in ((390, 844), (720, 450), (1024, 768)):
            page.resize(width, height)
            page.wait("new Promise((done) => setTimeout(() => done(true), 200))")
            assert page.run("document.documentElement.scrollWidth") <= width, (mode, width)
        page.resize(1280, 860)


def test_modes_are_reached_by_keyboard(page):
    go(page, "clip")
    page.run("document.querySelector('#go-camera').focus()")
    page.key(" ", "Space", 32)
    page.wait("document.body.dataset.view === 'camera'")
    assert page.run("document.querySelector('#go-camera').getAttribute('aria-current')") == "page"
