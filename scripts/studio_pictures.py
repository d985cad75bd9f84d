"""Take the pictures of docs/studio.md: the studio in headless Chromium, with the portrait that comes with the package.

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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images"), help="folder of the pictures (docs/images)")
    folder = make_folder(parser.parse_args().output)

    def shot(page, name):
        # How long it took is no part of what the page looks like.
        page.run("document.querySelector('#status').textContent = ''")
        image = Image.open(io.BytesIO(page.picture())).convert("RGB")
        write_bytes(folder / f"studio-{name}.jpg", jpeg_bytes(np.asarray(image), 85))

    scratch = tempfile.TemporaryDirectory()
    clip, camera = films(scratch.name)
    server = subprocess.Popen([sys.executable, "-m", "diffusionrig", "studio", "--port", "0"], stdout=subprocess.PIPE, text=True,
                              start_new_session=True)
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
            pictures(page, clip, lambda name: shot(page, name))
            page.resize(390, 844, 2, mobile=True)
            time.sleep(0.8)
            shot(page, "phone")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait()
        scratch.cleanup()


if __name__ == "__main__":
    main()
