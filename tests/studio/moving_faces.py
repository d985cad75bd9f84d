"""Small clips of the portrait that comes with the package: nodding and turning a little, with a tone."""

import functools
import io

import numpy as np
from PIL import Image
from studio_pages import PORTRAIT

from diffusionrig.editing.rig import Rig
from diffusionrig.faces.backends import make_finder
from diffusionrig.io.movies import write_movie
from diffusionrig.io.sound import Sound
from diffusionrig.studio.sitting import open_photograph, sit


def portrait_frames(count=6, side=256):
    """``count`` frames (side, side, 3) of the portrait, which sways and grows."""
    image = Image.open(PORTRAIT).convert("RGB")
    for number in range(count):
        wave = np.sin(2 * np.pi * number / 12)
        turned = image.rotate(5 * wave, Image.Resampling.BICUBIC, center=(256, 180))
        yield np.asarray(turned.resize((side, side), Image.Resampling.LANCZOS))


def moving_clip(path, count=6, side=256, fps=25, sound=True, frames=None):
    """A video at ``path``; returns its bytes."""
    frames = list(portrait_frames(count, side) if frames is None else frames)
    time = np.arange(round(16000 * len(frames) / fps)) / 16000
    tone = (0.3 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 2 * time) > 0)).astype(np.float32)[:, None]
    write_movie(path, frames, fps, Sound(tone, 16000) if sound else None)
    return path.read_bytes()


def moving_gif(count=4):
    """An animated picture."""
    buffer = io.BytesIO()
    first, *rest = (Image.fromarray(frame) for frame in portrait_frames(count))
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=80)
    return buffer.getvalue()


def jpeg_of(image):
    """(H, W, 3) as a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


@functools.lru_cache(maxsize=2)
def sitting_of(rig: Rig):
    """The portrait as it sits for a rig, captured once for all tests."""
    return sit(rig, open_photograph(PORTRAIT.read_bytes(), "me.jpg", make_finder(), 5.0))


def seat(studio):
    """Open the portrait in a studio, as if it had just been captured."""
    studio.client.portal.call(studio.session._seat, sitting_of(studio.session.rig))
