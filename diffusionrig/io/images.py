"""Reading photographs as people have them, and writing PNG files with text in them.

Everything becomes 8-bit RGB the way a viewer shows it: turned by its EXIF orientation, embedded colour profiles
converted to sRGB, transparency laid over mid-grey, 16-bit scaled (not clipped), the first frame of several.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError, features

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import DAMAGE, raise_faults, short_reason
from diffusionrig.io.files import atomic_path, read_bytes, utf8
from diffusionrig.io.mistaken import LOOKED_AT, refuse_mistaken
from diffusionrig.io.paths import reason, status
from diffusionrig.io.png import png_size, texts_alone

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
_ORIENTATION = 0x0112

_LOOKED_INTO_FIRST = 1 << 26
"""Bytes from which on the header of a file is read before the file."""

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
    found = status(file, "image")
    if found is None:
        raise UsageError(f"There is no image at {file}; check the path.")
    if stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{file} is a folder, but one image file is needed there.")
    if found.st_size > _LOOKED_INTO_FIRST and stat.S_ISREG(found.st_mode):
        with _speaking(str(file)), open(file, "rb") as stream, _opened(stream, _further_formats(stream.read(LOOKED_AT), str(file))):
            pass  # anything else of that size is not read at all
    return read_bytes(file)


def decode_image(data: bytes, name: str = "image", max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """Decode the bytes of an image file to (H, W, 3) uint8 RGB; ``name`` is what error sentences call it."""
    if not data:
        raise RigError(f"{name} is empty (0 bytes); copy it again or remove it.")
    refuse_mistaken(data[:LOOKED_AT], name)
    further = _further_formats(data, name)
    with _speaking(name), _opened(io.BytesIO(data), further) as image:
        refuse_large(image, name, max_megapixels)
        image.load()
        return np.ascontiguousarray(np.asarray(to_rgb(_upright(image))))


@contextmanager
def _speaking(name: str) -> Iterator[None]:
    """Whatever fails while the picture ``name`` is read is one sentence."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise RigError(f"{name} is not an image this program can read (JPEG, PNG, BMP, WebP, TIFF, GIF, AVIF, HEIC); "
                       "convert it or remove it.") from error
    except RigError:
        raise
    except DAMAGE as error:
        raise_faults(error)
        raise RigError(f"{name} is damaged or cut short ({short_reason(error)}); copy it again or remove it.") from error


def refuse_large(image: Image.Image, name: str, max_megapixels: float) -> None:
    """RigError when a picture, whose header alone was read, would take more memory than the limit allows. How small its file is
    says nothing: a blank page of any size takes a few kilobytes."""
    width, height = image.size
    megapixels, depth = width * height / 1e6, _depth(image)
    if megapixels * depth / 8 > max_megapixels:
        deep = f" of {depth} bits, which count as {megapixels * depth / 8:.1f}," if depth > 8 else ","
        raise RigError(f"{name} has {megapixels:.1f} megapixels ({width} x {height}){deep} more than the limit of "
                       f"{max_megapixels:g}; shrink it or raise --max_megapixels.")


def _depth(image: Image.Image) -> int:
    """Bits of one number of a picture."""
    if image.mode in ("I", "F"):
        return 32
    return 16 if ";16" in image.mode or any(";16" in str(tile) for tile in getattr(image, "tile", ())) else 8


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
def _opened(stream: IO[bytes], further: tuple[str, ...] = (), formats: tuple[str, ...] = _FORMATS) -> Iterator[Image.Image]:
    # Pillow's own limit (a warning at 89 and an error at 179 megapixels) would overrule ours; it is a module global,
    # so it is set aside only while a header is read.
    with _header_lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(stream, formats=(*formats, *further))
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def _upright(image: Image.Image) -> Image.Image:
    try:
        # Only where it turns: otherwise it would make a copy.
        return ImageOps.exif_transpose(image) if image.getexif().get(_ORIENTATION) in range(2, 9) else image
    except DAMAGE as error:  # Pillow's EXIF parser fails in many ways on damaged tags; the pixels are fine all the same
        raise_faults(error)
        return image


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
    values = np.asarray(image)
    # By parts: as float64 a whole picture takes four times the memory.
    parts = np.array_split(values, max(1, values.size >> 20))
    top = max(float(_finite(part).max(initial=0.0)) for part in parts)
    if image.mode == "F":
        scale = 1.0 if top <= 1.0 else 255.0 if top <= 255.0 else 65535.0
    else:
        # Mode "I" holds 16-bit PNG of older Pillow versions as well as true 32-bit TIFF.
        scale = 65535.0 if top <= 65535.0 else 2.0**31 - 1
    grey = np.concatenate([np.rint(np.clip(_finite(part) / scale, 0.0, 1.0) * 255.0).astype(np.uint8) for part in parts])
    return Image.fromarray(grey).convert("RGB")


def _finite(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


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
        except DAMAGE as error:  # a broken profile says nothing about the picture
            raise_faults(error)
            return None
    try:
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except DAMAGE as error:
        raise_faults(error)
        # Show it as a viewer without colour management would.
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
    data = png_bytes(array, {key: utf8(value).decode() for key, value in (text or {}).items()})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def read_png_text(path: str | Path) -> dict[str, str]:
    """The text chunks of a PNG file; empty when it has none. RigError when the file is not a readable PNG."""
    file = Path(path)
    data = _bytes_of(file)
    try:
        png_size(data)
    except ValueError as error:
        raise RigError(f"{file} is not a PNG file, so it carries no text of this program.") from error
    try:
        with _opened(io.BytesIO(texts_alone(data)), formats=("PNG",)) as image:
            image.load()
            return {str(key): _unspelt(str(value)) for key, value in getattr(image, "text", {}).items()}
    except DAMAGE as error:
        raise_faults(error)
        raise RigError(f"Cannot read the text of {file} ({short_reason(error)}).") from error


def _unspelt(text: str) -> str:
    """Names of files with the bytes that are no text, which ``write_png`` spells."""
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda found: chr(int(found[1], 16)), text)


def find_images(folder: str | Path, recursive: bool = True) -> list[Path]:
    """Image files under ``folder`` by their ending (any letter case), sorted by path; hidden ones are left out.

    Linked folders are followed, each real folder once. UsageError when there is no such folder.
    """
    return [file for file in find_files(folder, recursive) if file.suffix.lower() in IMAGE_SUFFIXES]


def find_files(folder: str | Path, recursive: bool = True) -> list[Path]:
    """Every file under ``folder`` that is not hidden, sorted by path, as ``find_images`` walks. A folder within it that may not be
    searched is listed itself: it ends no run, and whoever names what was not read names it."""
    root = Path(folder)
    found = status(root, "folder")
    if found is None:
        raise UsageError(f"There is no folder {root}; check the path.")
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{root} is a file, but a folder of images is needed there.")
    files: list[Path] = []
    waiting, seen = [str(root)], set()
    while waiting:
        place = waiting.pop()
        try:
            mark = os.stat(place)
            if (mark.st_dev, mark.st_ino) in seen:
                continue
            seen.add((mark.st_dev, mark.st_ino))
            with os.scandir(place) as listed:
                # Names beginning with a dot are file-system leftovers ("._photo.jpg") and our own unfinished writes.
                entries = [entry for entry in listed if not entry.name.startswith(".")]
        except OSError as error:
            if not files and place == str(root):
                raise RigError(f"Cannot read the folder {root}: {reason(error)}.") from error
            files.append(Path(place))
            continue
        for entry in entries:
            if not _is_folder(entry):
                files.append(Path(place, entry.name))
            elif recursive:
                waiting.append(os.path.join(place, entry.name))
    return sorted(files)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
