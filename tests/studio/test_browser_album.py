"""A personal model from an album, and the history, on the page in headless Chromium."""

import time

import numpy as np
import pytest
from browsing import NAMELESS, drop, load, move, needs_chromium, rest, value
from chromium import Chromium
from studio_pages import PORTRAIT

from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.checkpoints import describe_checkpoint
from diffusionrig.io.images import write_png

pytestmark = [pytest.mark.browser, pytest.mark.timeout(560), needs_chromium]

PERSON = 6


@pytest.fixture(scope="module")
def browser(address):
    with Chromium(1280, 860, patience=180) as browser:
        load(browser, address)
        yield browser


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """PERSON photographs of one person, a wall, and a text."""
    folder, head = tmp_path_factory.mktemp("photographs"), load_head()
    person = sample_person(7100, 1, head)
    scenes = [sample_scene(person, 7100, index, head, yaw_limit=20) for index in range(PERSON)]
    for index, image in enumerate(render_photographs([person] * PERSON, scenes, head, 200)):
        write_png(folder / f"{index}.png", image)
    write_png(folder / "wall.png", np.full((90, 90, 3), 120, np.uint8))
    (folder / "notes.jpg").write_text("no picture")
    return sorted(folder.iterdir())


def verdicts(page):
    return page.run("Object.fromEntries([...document.querySelectorAll('#album-photos li')].map((item) => ["
                    "item.querySelector('.file').textContent, item.querySelector('.verdict').textContent]))")


def put(page, selector, text):
    page.run(f"(() => {{ const e = document.querySelector('{selector}'); e.value = '{text}';"
             " for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, { bubbles: true })); })()")


def click(page, selector):
    page.run(f"document.querySelector('{selector}').click()")


def state(page):
    return page.run("document.body.dataset.album")


def test_a_personal_model_from_an_album(browser, address, photographs, work):
    page = browser
    click(page, "#go-album")
    assert page.run("document.querySelector('main').hidden && !document.querySelector('#album').hidden")
    assert page.run(NAMELESS) == []
    page.hand_over("#album-files", *photographs)
    page.wait("document.querySelector('#album-count').textContent.includes('stay') && document.body.dataset.album === 'none'")
    shown = verdicts(page)
    assert [shown[f"{index}.png"] for index in range(PERSON)] == ["stays"] * PERSON
    assert (shown["wall.png"], shown["notes.jpg"]) == ("no face", "unreadable")
    assert "not an image" in page.run("document.querySelector('#album-photos').textContent")
    # Without consent there is no training.
    put(page, "#album-updates", "600")
    click(page, "#album-train")
    assert "agreed" in page.run("document.querySelector('[data-error=album]').textContent")
    assert page.run("document.activeElement.id") == "album-consent"
    click(page, "[data-consent=me]")
    click(page, "#album-train")
    page.wait("document.querySelectorAll('#album-curve circle').length > 1")
    # A page that is loaded again in the middle shows the same.
    page.open("about:blank")
    page.open(f"{address}#album")
    page.wait("document.body?.dataset.album === 'train' && document.querySelectorAll('#album-curve circle').length > 1")
    assert page.run("document.body.dataset.view") == "album"
    assert verdicts(page)["0.png"] == "stays"
    assert "%" in page.run("document.querySelector('#go-album').textContent")
    assert page.run(NAMELESS) == []
    click(page, "#album-stop")
    page.until(lambda: state(page) == "stopped", "stopped")
    done = int(page.run("document.querySelector('#album-bar').value"))
    assert 0 < done < 600
    put(page, "#album-updates", str(done + 3))
    click(page, "#album-train")
    page.until(lambda: state(page) == "done", "done")
    (model,) = work.glob(f"albums/My album/models/*/run/model{done + 3:06d}.safetensors")
    assert str(model) in page.run("document.querySelector('#album-model-list').textContent")
    assert str(work) in page.run("document.querySelector('#album-place').textContent")
    assert describe_checkpoint(model)[1]["consent"].startswith("I am the person in these photographs")
    click(page, "#album-use")
    page.wait("document.body.dataset.view === 'edit'")
    assert "My album · personal model, consent: I am" in page.run("document.querySelector('#model').textContent")
    drop(page, PORTRAIT)
    move(page, "smile", 40)
    rest(page)
    recipe = page.run("fetch('api/recipe').then((answer) => answer.json()).then((recipe) => recipe.command)")
    assert f"--model_path '{model}'" in recipe
    assert "--album" in recipe
    # That a text is no picture is told by the browser, too.
    assert [told for told in page.complaints() if "notes.jpg" not in told] == []


def test_the_history_is_seen_and_leads_back(browser, address):
    page = browser
    click(page, "#go-edit")
    if page.run("document.body.dataset.open") == "no":
        drop(page, PORTRAIT)
    page.key("r", "KeyR", 82)
    page.wait("['Reset', 'Photograph'].includes(document.querySelector('#past').lastChild.textContent)")
    before = page.run("document.querySelector('#past').children.length")
    for count, (name, across) in enumerate((("yaw", 30), ("mouthOpen", 40)), 1):
        move(page, name, across)
        page.wait(f"document.querySelector('#past').children.length === {before + count}")
    turned, opened = value(page, "yaw"), value(page, "mouthOpen")
    texts = page.run("[...document.querySelectorAll('#past button')].map((button) => button.textContent)")
    assert texts[-2:] == [f"Turn +{turned:g}", f"Open mouth +{opened:g}"]
    page.wait("[...document.querySelectorAll('#past img')].every((image) => image.complete && image.naturalWidth > 20)")
    rest(page)
    x, y = page.middle("#past li:nth-last-child(2) button")
    page.mouse("mousePressed", x, y)
    page.mouse("mouseReleased", x, y)
    page.until(lambda: value(page, "mouthOpen") == 0, "back a step")
    assert value(page, "yaw") == turned
    # By keys: along the history to its end, and there.
    page.run("document.querySelector('#past [aria-current]').focus()")
    page.key("ArrowRight", number=39)
    assert page.run("document.activeElement.textContent") == texts[-1]
    page.run("document.activeElement.click()")
    page.until(lambda: value(page, "mouthOpen") == opened, "forth a step")
    assert page.run("document.activeElement.textContent") == texts[-1]
    rest(page)


def test_every_view_fits_a_phone_and_has_names(browser, address):
    page = browser
    for width, height in ((360, 740), (720, 450), (1280, 860)):
        page.resize(width, height)
        for view in ("album", "edit"):
            click(page, f"#go-{view}")
            time.sleep(0.3)
            assert page.run("document.documentElement.scrollWidth") <= width
            assert page.run(NAMELESS) == []
