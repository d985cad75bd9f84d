"""Reading photographs as people have them, and writing PNG files with text in them.

Everything becomes 8-bit RGB the way a viewer shows it: turned by its EXIF orientation, embedded colour profiles
converted to sRGB, transparency laid over mid-grey, 16-bit scaled (not clipped), the first frame of several.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError, features

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.files import atomic_path
from diffusionrig.io.mistaken import LOOKED_AT, refuse_mistaken

# Pillow registers some formats only when it first needs them, and does not look for one that is named in ``formats``.
Image.init()
# Raster formats only: Pillow would hand an EPS or PDF to an external interpreter. Older ones do not know AVIF.
_FORMATS = tuple(name for name in ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "AVIF") if name in Image.OPEN)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif",
                  ".hif")
# What shows through transparent pixels. The published scripts keep whatever colour the file hides there (often black
# or noise); grey adds no dark or bright edge, which would be taken for light.
BACKGROUND = 128
MAX_MEGAPIXELS = 100.0

_DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, AttributeError,
                  MemoryError, OverflowError, ZeroDivisionError, struct.error, zlib.error)
_header_lock = threading.Lock()
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def read_image(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Read one photograph: (H, W, 3) uint8, sRGB, upright.

    Raises RigError with one sentence for a file that is absent, empty, cut short, not an image, or larger than
    ``max_megapixels`` million pixels (checked before any pixel is decoded).
    """
    return decode_image(_bytes_of(Path(path)), str(path), max_megapixels)


def read_image_and_hash(path: str | Path, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[np.ndarray, str]:
    """As ``read_image``, with the SHA-256 (hex) of the file."""
    data = _bytes_of(Path(path))
    return decode_image(data, str(path), max_megapixels), hashlib.sha256(data).hexdigest()


def _bytes_of(file: Path) -> bytes:
    if file.is_dir():
        raise UsageError(f"{file} is a folder, but one image file is needed there.")
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"There is no image at {file}; check the path.") from error
    except OSError as error:
        raise RigError(f"Cannot read {file}: {error.strerror or error}.") from error


def decode_image(data: bytes, name: str = "image", max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Decode the bytes of an image file to (H, W, 3) uint8 RGB; ``name`` is what error sentences call it."""
    if not data:
        raise RigError(f"{name} is empty (0 bytes); copy it again or remove it.")
    refuse_mistaken(data[:LOOKED_AT], name)
    further = _further_formats(data, name)
    try:
        with _opened(data, further) as image:
            width, height = image.size
            if width * height > max_megapixels * 1e6:
                raise RigError(f"{name} has {width * height / 1e6:.1f} megapixels ({width} x {height}), more than "
                               f"the limit of {max_megapixels:g}; shrink it or raise --max_megapixels.")
            image.load()
            return np.ascontiguousarray(np.asarray(to_rgb(_upright(image))))
    except UnidentifiedImageError as error:
        raise RigError(f"{name} is not an image this program can read (JPEG, PNG, BMP, WebP, TIFF, GIF, AVIF, HEIC); "
                       "convert it or remove it.") from error
    except _DECODE_ERRORS as error:
        raise RigError(f"{name} is damaged or cut short ({_first_words(error)}); copy it again or remove it."
                       ) from error


def _further_formats(data: bytes, name: str) -> tuple[str, ...]:
    """Formats beside the usual ones that ``data`` needs; RigError in one sentence when nothing here can read them."""
    brands = data[8:64] if data[4:8] == b"ftyp" else b""
    if b"avif" in brands:
        if "avif" not in features.modules or not features.check("avif"):
            raise RigError(f"{name} is an AVIF picture, which this Pillow cannot read; install Pillow 11.3 or later, or export the "
                           "picture as JPEG.")
        return ()
    if not brands.startswith(_HEIF_BRANDS):
        return ()
    try:
        heif: Any = importlib.import_module("pillow_heif")
    except (ImportError, OSError) as error:
        raise RigError(f"{name} is a HEIC picture, for which the package pillow-heif is needed; install it with "
                       'pip install "diffusionrig[heif]", or export the picture as JPEG.') from error
    with _header_lock:
        if "HEIF" not in Image.OPEN:
            heif.register_heif_opener()
    return ("HEIF",)


@contextmanager
def _opened(data: bytes, further: tuple[str, ...] = ()) -> Iterator[Image.Image]:
    # Pillow's own limit (a warning at 89 and an error at 179 megapixels) would overrule ours; it is a module global,
    # so it is set aside only while a header is read.
    with _header_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(io.BytesIO(data), formats=(*_FORMATS, *further))
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # Pillow's EXIF parser fails in many ways on damaged tags; the pixels are fine all the same
        return image


def _first_words(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0][:90] or type(error).__name__


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB, sRGB colours, transparency over BACKGROUND."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_from_deep(image)
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        colours = Image.alpha_composite(paper, image).convert("RGB")
        colours.info["icc_profile"] = image.info.get("icc_profile")
        image = colours
    profiled = _through_profile(image)
    if profiled is not None:
        return profiled
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey_from_deep(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grey to RGB, scaled by the range of the type (float: 0..1 when nothing exceeds 1)."""
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        scale = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    else:
        # Mode "I" holds 16-bit PNG of older Pillow versions as well as true 32-bit TIFF.
        scale = 65535.0 if top <= 65535.0 else 2.0**31 - 1
    grey = np.rint(np.clip(values / scale, 0.0, 1.0) * 255.0).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _through_profile(image: Image.Image) -> Image.Image | None:
    """The image converted to sRGB by its embedded colour profile; None when it has none that matters or works."""
    profile = image.info.get("icc_profile")
    source: ImageCms.ImageCmsProfile
    if image.mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif not profile or image.mode not in ("RGB", "CMYK"):
        return None
    else:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if image.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(source).lower():
                return None
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return None
    try:
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # A broken profile says nothing about the picture: show it as a viewer without colour management would.
        return None if image.mode != "LAB" else image.getchannel("L").convert("RGB")


def png_bytes(array: np.ndarray, text: dict[str, str] | None = None, level: int = 3) -> bytes:
    """PNG bytes of an (H, W, 3), (H, W, 4) or (H, W) uint8 array; ``text`` becomes text chunks (UTF-8 where needed).

    The same input gives the same bytes. ``level`` 0..9 is how hard they are compressed: on photographs level 3 is within
    4 % of the size of level 6 at half its time.
    """
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise ValueError(f"png_bytes takes (H, W[, 3|4]) uint8, not {array.shape} {array.dtype}")
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        if value.isascii():
            chunks.add_text(key, value)
        else:
            chunks.add_itxt(key, value)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, "PNG", pnginfo=chunks, compress_level=level)
    return buffer.getvalue()


def write_png(path: str | Path, array: np.ndarray, text: dict[str, str] | None = None) -> None:
    """Write (H, W[, 3|4]) uint8 as PNG with text chunks, atomically; RigError on a full disk or read-only folder."""
    data = png_bytes(array, text)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_png_text(path: str | Path) -> dict[str, str]:
    """The text chunks of a PNG file; empty when it has none. RigError when the file is not a readable PNG."""
    file = Path(path)
    try:
        data = file.read_bytes()
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.load()  # text may follow the pixels
            return {str(key): str(value) for key, value in getattr(image, "text", {}).items()}
    except FileNotFoundError as error:
        raise UsageError(f"There is no image at {file}; check the path.") from error
    except UnidentifiedImageError as error:
        raise RigError(f"{file} is not a PNG file, so it carries no text of this program.") from error
    except (*_DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise RigError(f"Cannot read the text of {file} ({_first_words(error)}).") from error


def find_images(folder: str | Path, recursive: bool = True) -> list[Path]:
    """Image files under ``folder`` by their ending (any letter case), sorted by path; hidden ones are left out.

    Linked folders are followed, each real folder once. UsageError when there is no such folder.
    """
    return [file for file in find_files(folder, recursive) if file.suffix.lower() in IMAGE_SUFFIXES]


def find_files(folder: str | Path, recursive: bool = True) -> list[Path]:
    """Every file under ``folder`` that is not hidden, sorted by path, as ``find_images`` walks."""
    root = Path(folder)
    if not root.exists():
        raise UsageError(f"There is no folder {root}; check the path.")
    if not root.is_dir():
        raise UsageError(f"{root} is a file, but a folder of images is needed there.")

    def refuse(error: OSError) -> None:
        raise RigError(f"Cannot read the folder {error.filename}: {error.strerror or error}.") from error

    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        real = os.path.realpath(place)
        # Names beginning with a dot are file-system leftovers ("._photo.jpg") and our own unfinished writes.
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if recursive else []
        if real in seen:
            folders[:] = []
            continue
        seen.add(real)
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)
