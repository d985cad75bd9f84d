"""Take the pictures of docs/studio.md: the studio in headless Chromium, with the portrait that comes with the package and an album
of a person who does not exist.

    python scripts/studio_pictures.py --output docs/images
"""

import argparse
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from diffusionrig.demo.people import choose_cast, write_photographs
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.assets import asset_path
from diffusionrig.io.files import make_folder, write_bytes
from diffusionrig.io.jpeg import jpeg_bytes

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "studio"))

from chromium import Chromium
from moving_pictures import FLAGS, films, pictures

RESTED = ("document.body.dataset.rested === 'yes' && document.body.dataset.drawing === 'no' && "
          "!document.querySelector('#undo').disabled")


def move(page, **values):
    """Put sliders where they are wanted, as a hand would."""
    for name, value in values.items():
        page.run(f"(() => {{ const e = document.querySelector('#slider-{name}'); e.value = {value};"
                 " e.dispatchEvent(new Event('input', {bubbles: true})); })()")
    time.sleep(1.0)
    page.wait(RESTED)
    time.sleep(0.5)


def album(page, folder, shot):
    """An album of a synthetic person, with a stranger and a file that is no picture, and its training."""
    write_photographs(choose_cast(load_head(), 8, 8, 0, 1), folder)
    write_bytes(folder / "album" / "notes.jpg", b"no picture")
    page.run("document.querySelector('#go-album').click()")
    page.hand_over("#album-files", *sorted((folder / "album").iterdir()), *(folder / "targets").iterdir())
    page.wait("document.querySelector('#album-count').textContent.includes('stay') && document.body.dataset.album === 'none'")
    page.run("document.querySelector('[data-consent=agreed]').click()")
    page.run("(() => { const e = document.querySelector('#album-updates'); e.value = 60;"
             " e.dispatchEvent(new Event('change')); })()")
    page.run("document.querySelector('#album-train').click()")
    page.wait("document.querySelectorAll('#album-curve circle').length > 20", 900)
    # Where it was taken is nobody's affair.
    page.run("document.querySelector('#album-place').textContent = 'Albums and their models are kept in "
             "/home/you/.local/share/diffusionrig/studio/albums.'")
    shot(page, "album")
    page.run("document.querySelector('#album-stop').click(); document.querySelector('#go-edit').click()")
    page.wait("document.body.dataset.album === 'stopped'", 300)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images"), help="folder of the pictures (docs/images)")
    folder = make_folder(parser.parse_args().output)

    def shot(page, name):
        # How long it took is no part of what the page looks like.
        page.run("document.querySelector('#status').textContent = ''")
        image = Image.open(io.BytesIO(page.picture())).convert("RGB")
        write_bytes(folder / f"studio-{name}.jpg", jpeg_bytes(np.asarray(image), 85))

    with tempfile.TemporaryDirectory() as place:
        take(Path(place), shot)


def take(place, shot):
    """All pictures, with the folder ``place`` to work in."""
    clip, camera = films(place)
    server = subprocess.Popen([sys.executable, "-m", "diffusionrig", "studio", "--port", "0", "--work_dir", str(place / "work")],
                              stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        address = server.stdout.readline().split()[-1]
        with Chromium(1320, 860, [*FLAGS, f"--use-file-for-fake-video-capture={camera}"], patience=180) as page:
            page.dark(False)
            page.open(address)
            page.wait("document.body?.dataset.ready === 'yes'")
            page.drop(Path(asset_path("portrait.jpg")), 640, 430)
            page.wait("document.body.dataset.seen")
            move(page, smile=-0.35, brows=0.5, yaw=8)
            shot(page, "edit")
            page.key("r", "KeyR", 82)
            x, y = page.middle("#ball")
            page.drag((x, y), (x - 42, y - 16))
            time.sleep(1.0)
            page.wait(RESTED)
            page.run("window.scrollTo(0, 0)")
            page.key("c", "KeyC", 67)
            page.dark(True)
            time.sleep(0.5)
            shot(page, "light")
            page.dark(False)
            page.key("c", "KeyC", 67)
            page.run("document.querySelector('#view-photo').click()")
            page.run("document.querySelector('#show-recipe').click()")
            page.wait("document.querySelector('#recipe').open")
            time.sleep(0.5)
            shot(page, "recipe")
            page.run("document.querySelector('#recipe').close(); document.querySelector('#view-face').click()")
            page.resize(390, 844, 2, mobile=True)
            time.sleep(0.8)
            shot(page, "phone")
            page.resize(1320, 860)
            album(page, place, shot)
            pictures(page, clip, lambda name: shot(page, name))
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait()


if __name__ == "__main__":
    main()
