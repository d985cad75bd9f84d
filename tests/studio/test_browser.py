"""The page in headless Chromium, as a person uses it."""

import json

import numpy as np
import pytest
from browsing import NAMELESS, drop, load, move, needs_chromium, pixels, rest, value
from chromium import Chromium
from studio_pages import PORTRAIT

from diffusionrig.editing.provenance import read_provenance

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280), needs_chromium]

@pytest.fixture(scope="module")
def browser(address):
    with Chromium(1280, 860) as browser:
        yield browser


@pytest.fixture
def page(browser, address):
    """The page with the portrait open and nothing edited."""
    browser.events.clear()
    load(browser, address)
    drop(browser, PORTRAIT)
    return browser


def test_dragging_a_slider_changes_the_picture_and_the_network_follows(page):
    before = pixels(page)
    move(page, "mouthOpen", 50)
    assert value(page, "mouthOpen") > 0.4
    rest(page)
    changed = np.abs(pixels(page) - before).max(2) > 25
    height = len(changed)
    assert changed[height // 2:].sum() > 5 * changed[:height // 4].sum()
    assert changed.sum() > 0.002 * changed.size
    assert "preview" in page.run("document.querySelector('#status').textContent")


def test_the_wipe_shows_the_photograph_on_its_left(page):
    before = pixels(page)
    move(page, "yaw", 40)
    rest(page)
    after = pixels(page)
    page.key("c", "KeyC", 67)
    assert page.run("document.querySelector('#compare').getAttribute('aria-pressed')") == "true"
    both = pixels(page)
    middle = both.shape[1] // 2
    width = both.shape[1]
    left, right = slice(0, middle - width // 20), slice(middle + width // 20, None)
    assert np.abs(both - before)[:, left].mean() < 0.5 < np.abs(both - after)[:, left].mean()
    assert np.abs(both - after)[:, right].mean() < 0.5 < np.abs(both - before)[:, right].mean()
    page.key("c", "KeyC", 67)


def test_undo_redo_and_reset_by_keys(page):
    x, y = page.middle("#slider-smile")
    page.drag((x, y), (x, y), steps=1)
    for _ in range(5):
        page.key("ArrowRight", number=39)
    smiling = value(page, "smile")
    assert smiling > 0
    page.wait("!document.querySelector('#undo').disabled")
    page.run("document.activeElement.blur()")
    page.key("z", "KeyZ", 90, modifiers=2)
    page.until(lambda: value(page, "smile") == 0, "undo")
    page.key("z", "KeyZ", 90, modifiers=10)
    page.until(lambda: value(page, "smile") == smiling, "redo")
    page.key("r", "KeyR", 82)
    assert value(page, "smile") == 0
    rest(page)


def test_a_double_click_resets_one_slider_and_numbers_can_be_typed(page):
    page.run("document.querySelector('#slider-yaw-number').focus(); document.querySelector('#slider-yaw-number').select()")
    for letter in "12":
        page.key(letter, f"Digit{letter}", ord(letter))
    assert value(page, "yaw") == 12
    move(page, "smile", 30)
    x, y = page.middle("label[for=slider-yaw]")
    for clicks in (1, 2):
        page.mouse("mousePressed", x, y, clicks=clicks)
        page.mouse("mouseReleased", x, y, clicks=clicks)
    assert value(page, "yaw") == 0
    assert value(page, "smile") > 0


def test_dragging_the_picture_turns_the_head_and_the_ball_moves_the_lamp(page):
    x, y = page.middle("#canvas")
    page.drag((x, y), (x + 80, y + 20))
    assert value(page, "yaw") > 3
    assert value(page, "pitch") > 1
    x, y = page.middle("#ball")
    page.drag((x, y), (x - 40, y - 15))
    assert value(page, "lightStrength") == pytest.approx(0.8)
    assert page.run("Number(document.querySelector('#ball').getAttribute('aria-valuenow'))") < -20
    page.run("document.querySelector('#ball').focus()")
    page.key("ArrowRight", number=39)
    rest(page)


def test_reloading_in_the_middle_loses_nothing(page, address):
    move(page, "brows", 40)
    raised = value(page, "brows")
    page.wait("!document.querySelector('#undo').disabled")
    rest(page)
    shown = pixels(page)
    load(page, address)
    page.wait("document.body.dataset.open === 'yes'")
    page.until(lambda: value(page, "brows") == raised, "the slider as it was")
    rest(page)
    again = pixels(page)
    assert again.shape == shown.shape
    assert np.abs(again - shown).mean() < 1


def test_presets_and_pictures_go_out_and_come_back(page):
    move(page, "smile", 40)
    smiling = value(page, "smile")
    rest(page)
    page.run("document.querySelector('#save-preset').click()")
    saved = page.downloads / "preset.json"
    page.until(lambda: saved.exists() and saved.stat().st_size, "the preset")
    assert json.loads(saved.read_text())["move"] == {"smile": smiling}
    page.run("document.querySelector('#reset').click()")
    assert value(page, "smile") == 0
    page.run("document.querySelector('#load-preset').onclick; 0")
    page.drop(saved, 640, 430)
    page.until(lambda: value(page, "smile") == smiling, "the preset taken over")
    rest(page)
    page.run("document.querySelector('#download').click()")
    taken = page.downloads / "portrait-edited.png"
    page.until(lambda: taken.exists() and taken.stat().st_size, "the picture")
    record = read_provenance(taken)
    assert record["intact"]
    assert record["moves"] == {"smile": smiling}
    page.run("document.querySelector('#show-recipe').click()")
    page.wait("document.querySelector('#recipe').open")
    assert f"smile=+{smiling:g}" in page.run("document.querySelector('#command').textContent")
    page.run("document.querySelector('#recipe').close()")


def test_a_second_photograph_is_taken_from(page):
    page.middle("#choose-second")
    page.run("document.querySelector('#choose-second').addEventListener('click', (e) => e.preventDefault(), {once: true});"
             "HTMLInputElement.prototype.click = function () {}; document.querySelector('#choose-second').click()")
    page.hand_over("#second-file", PORTRAIT)
    page.wait("!document.querySelector('#second').hidden")
    move(page, "light", 40)
    assert value(page, "light") > 0.5
    rest(page)
    page.run("document.querySelector('#no-second').click()")
    page.wait("document.querySelector('#second').hidden")


def test_errors_stand_beside_what_caused_them(page, tmp_path):
    wrong = tmp_path / "notes.jpg"
    wrong.write_text("no picture")
    page.drop(wrong, 640, 430)
    told = "[...document.querySelectorAll('#photo-card .error')].map((e) => e.hidden ? '' : e.textContent).join('')"
    assert "notes.jpg" in page.wait(told)
    assert page.run("document.body.dataset.open") == "yes"
    preset = tmp_path / "wrong.json"
    preset.write_text("{}")
    page.drop(preset, 640, 430)
    assert "wrong.json" in page.wait("document.querySelector('[data-error=preset]').textContent")


def test_every_control_has_a_name(page):
    assert page.run(NAMELESS) == []
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("document.querySelectorAll('input[type=range]').length") > 60


def test_narrow_and_large_pages_do_not_run_over(page):
    for width, height in ((360, 740), (720, 450), (1024, 768)):
        page.resize(width, height)
        page.wait("new Promise((done) => setTimeout(() => done(true), 300))")
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run("document.querySelector('#canvas').getBoundingClientRect().width") > 100
    page.resize(1280, 860)


def test_the_page_asks_nobody_else_and_complains_about_nothing(page, address):
    move(page, "smile", 20)
    rest(page)
    home = address.split("//")[1]
    for request in page.requests():
        assert request.startswith((f"http://{home}", f"ws://{home}", "blob:http://127.0.0.1", "about:", "data:")), request
    assert page.complaints() == []
