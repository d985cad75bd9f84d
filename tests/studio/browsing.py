"""The studio's page in a browser: a server for it, and what a hand does."""

import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from chromium import find_chromium
from PIL import Image

RESTED = "document.body.dataset.rested === 'yes' && document.body.dataset.drawing === 'no'"
NAMELESS = """[...document.querySelectorAll('button, input, select, canvas, summary, [role]')].filter((e) => {
  if (e.type === 'file' || e.closest('[hidden]') || ['alert', 'status'].includes(e.getAttribute('role'))) return false;
  const labels = e.labels ? [...e.labels].map((l) => l.textContent).join('') : '';
  return !(e.getAttribute('aria-label') || labels || e.textContent).trim();
}).map((e) => e.outerHTML.slice(0, 120))"""
"""Controls that have no name for those who do not see them."""


needs_chromium = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here; install it, or name it in CHROMIUM")


@contextlib.contextmanager
def serving(model, work):
    """The address of a studio with a model, which keeps albums in the folder ``work``."""
    server = subprocess.Popen([sys.executable, "-m", "diffusionrig", "studio", "--port", "0", "--threads", "1", "--model_path",
                               str(model), "--work_dir", str(work)], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield server.stdout.readline().split()[-1]
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.communicate(timeout=120)


def load(browser, address):
    browser.open("about:blank")
    browser.open(address)
    browser.wait("document.body?.dataset.ready === 'yes'")
    browser.wait("document.body.dataset.open === 'no' || document.body.dataset.photo")


def drop(browser, file, x=640, y=430):
    before = browser.run("document.body.dataset.photo ?? ''")
    browser.drop(file, x, y)
    browser.wait(f"(document.body.dataset.photo ?? '') !== {json.dumps(before)}")
    browser.wait("document.body.dataset.seen === document.body.dataset.photo && document.querySelector('#working').hidden")


def pixels(page):
    data = page.run("document.querySelector('#canvas').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data.split(",")[1]))).convert("RGB")).astype(int)


def value(page, name):
    return float(page.run(f"document.querySelector('#slider-{name}').value"))


def move(page, name, across):
    x, y = page.middle(f"#slider-{name}")
    page.drag((x, y), (x + across, y))


def rest(page):
    page.wait(RESTED, 30)
