"""The pictures of docs/studio.md that move: a clip, a listener and a camera. Called by studio_pictures.py."""

import time
from pathlib import Path

import numpy as np

from diffusionrig.editing.rig import Rig
from diffusionrig.io.assets import asset_path
from diffusionrig.io.files import write_bytes
from diffusionrig.io.jpeg import jpeg_bytes
from diffusionrig.io.movies import write_movie
from diffusionrig.io.sound import Sound
from diffusionrig.reactions.frames.listener import find_listener

FRAMES = 36
FLAGS = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


def films(folder):
    """Somebody who turns, smiles and speaks, as a clip with sound and as a camera's film: the portrait's mirror image, drawn."""
    rig = Rig.from_pretrained("default", device="cpu")
    faces = find_listener(str(asset_path("portrait.jpg")), rig).analysis
    frames = []
    for number in range(FRAMES):
        wave = 2 * np.pi * number / FRAMES
        asked = {"yaw": 14 * np.sin(wave), "pitch": 5 * np.sin(2 * wave), "jawOpen": 0.25 * max(0.0, np.sin(4 * wave)),
                 "smile": -0.3 * np.sin(wave / 2), "blinkLeft": float(number % 18 == 9), "blinkRight": float(number % 18 == 9)}
        drawn = rig.edit(faces, sliders=",".join(f"{name}=+{value:.3f}" for name, value in asked.items()))
        frames.append(np.ascontiguousarray(drawn.image[:, ::-1]))
    clip, camera = Path(folder) / "she speaks.mp4", Path(folder) / "camera.mjpeg"
    times = np.arange(16000 * FRAMES // 25) / 16000
    voice = 0.2 * np.sin(2 * np.pi * 190 * times) * np.maximum(0, np.sin(2 * np.pi * 4 * times))
    write_movie(clip, frames, 25, Sound(voice.astype(np.float32)[:, None], 16000))
    write_bytes(camera, b"".join(jpeg_bytes(frame, 92) for frame in frames))
    return clip, camera


def pictures(page, clip, shot):
    """Draw a clip and a listener, and start the camera, of a page with a photograph open; ``shot`` takes a picture by its name."""
    page.run("document.querySelector('#reset').click()")
    for kind in ("clip", "listener"):
        page.run(f"document.querySelector('#go-{kind}').click()")
        page.drop(clip, 400, 300)
        page.wait(f"!document.querySelector('#{kind}-draw').disabled")
        page.run(f"document.querySelector('#{kind}-draw').click()")
        page.wait(f"Number(document.querySelector('#{kind}-drawn').dataset.painted) > {FRAMES * 2 // 3}")
        if kind == "clip":
            shot("clip")
        page.wait(f"document.body.dataset.{kind}Job === 'done'")
    page.wait("document.querySelector('#listener-video').readyState > 2")
    page.run("document.querySelector('#listener-video').currentTime = 0.6")
    time.sleep(1.5)
    shot("listener")
    camera_picture(page, shot)
    page.run("document.querySelector('#go-edit').click()")


def camera_picture(page, shot):
    """Start the camera of a page with a photograph open, and take a picture of it drawn."""
    page.run("document.querySelector('#go-camera').click()")
    page.run("document.querySelector('#camera-start').click()")
    page.wait("document.querySelector('#camera-line').textContent.includes('95th')")
    time.sleep(3)
    # The face holds still until it was drawn, however slow the machine is.
    page.run("document.querySelector('#camera-video').pause()")
    time.sleep(9)
    page.run("document.querySelector('#camera-line').textContent = ''")
    shot("camera")
    page.run("document.querySelector('#camera-start').click()")
