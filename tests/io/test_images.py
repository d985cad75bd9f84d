"""Photographs as people have them: every kind of file gives the picture a viewer shows, or one sentence."""

import contextlib
import io
import struct
import sys
import types
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, features

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io import images
from diffusionrig.io.images import (
    BACKGROUND,
    decode_image,
    find_images,
    png_bytes,
    read_image,
    read_image_and_hash,
    read_png_text,
    write_png,
)


def picture(height=40, width=60):
    """No two corners alike, smooth enough for JPEG."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height)],
                    axis=-1).astype(np.uint8)


def near(a, b, tolerance):
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= tolerance


# How a camera stores an upright picture, by EXIF orientation.
STORED = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, 1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 3),
}


@pytest.mark.parametrize("orientation", sorted(STORED))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientation_is_undone(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](picture())))
    options = {"quality": 98, "subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    stored.save(path, exif=exif, **options)
    near(read_image(path), picture(), 12 if suffix == "jpg" else 0)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_leaves_the_pixels_readable(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(picture()).save(path, quality=98, subsampling=0, exif=b"Exif\x00\x00MM\x00*\x00\x00\xff\xff\x01")
    near(read_image(path), picture(), 12)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    levels = np.linspace(0, 65535, 40 * 60).reshape(40, 60).round().astype(np.uint16)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(levels).save(path)
    expected = np.rint(levels / 257.0).astype(int)
    near(read_image(path), np.repeat(expected[..., None], 3, axis=2), 0)


def test_sixteen_bit_colour_png_is_scaled(tmp_path):
    rgb = picture().astype(np.uint16) * 257
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in rgb)
    path = tmp_path / "deep.png"
    path.write_bytes(_png(60, 40, 16, 2, rows))
    near(read_image(path), picture(), 1)


def _png(width, height, depth, colour, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_float_tiff_in_zero_to_one(tmp_path):
    path = tmp_path / "float.tif"
    Image.fromarray(np.linspace(0, 1, 2400, dtype=np.float32).reshape(40, 60)).save(path)
    got = read_image(path)
    assert got.min() == 0
    assert got.max() == 255
    assert 120 <= got.mean() <= 135


def test_grey_palette_and_bilevel(tmp_path):
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    near(read_image(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, 2), 0)
    Image.fromarray(picture()).quantize(64).save(tmp_path / "palette.png")
    assert np.abs(read_image(tmp_path / "palette.png").astype(int) - picture()).mean() < 12
    Image.fromarray(grey > 100).save(tmp_path / "bilevel.png")
    assert set(np.unique(read_image(tmp_path / "bilevel.png"))) == {0, 255}


def test_transparency_lies_over_neutral_grey(tmp_path):
    rgba = np.dstack([picture(), np.full((40, 60), 255, np.uint8)])
    rgba[:20, :, :3], rgba[:20, :, 3] = (250, 0, 0), 0  # hidden red must not show
    rgba[20:30, :, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    got = read_image(tmp_path / "alpha.png")
    assert (got[:20] == BACKGROUND).all()
    near(got[20:30], np.rint(picture()[20:30] * (128 / 255) + BACKGROUND * (127 / 255)).astype(int), 1)
    near(got[30:], picture()[30:], 0)
    palette = Image.fromarray(picture()).quantize(16)
    palette.save(tmp_path / "clear.gif", transparency=palette.getpixel((0, 0)))
    assert (read_image(tmp_path / "clear.gif")[0, 0] == BACKGROUND).all()


def test_cmyk_without_profile(tmp_path):
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    near(read_image(tmp_path / "print.jpg"), picture(), 14)


def test_lab_and_foreign_profiles_become_srgb(tmp_path):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(Image.fromarray(picture()), srgb, lab, outputMode="LAB").save(tmp_path / "lab.tif")
    assert np.abs(read_image(tmp_path / "lab.tif").astype(int) - picture()).mean() < 4
    # A profile that is not sRGB but says the same must change nothing, a broken one must be passed over.
    same = ImageCms.ImageCmsProfile(srgb).tobytes()
    Image.fromarray(picture()).save(tmp_path / "same.png", icc_profile=same)
    near(read_image(tmp_path / "same.png"), picture(), 0)
    Image.fromarray(picture()).save(tmp_path / "broken.png", icc_profile=b"not a profile at all")
    near(read_image(tmp_path / "broken.png"), picture(), 0)


def test_a_wide_gamut_profile_is_applied(tmp_path):
    # sRGB with its red and green primaries exchanged: converting must exchange the channels.
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    table = {bytes(profile[132 + 12 * i:136 + 12 * i]): 132 + 12 * i for i in range(profile[131])}
    red, green = table[b"rXYZ"], table[b"gXYZ"]
    profile[red + 4:red + 12], profile[green + 4:green + 12] = profile[green + 4:green + 12], profile[red + 4:red + 12]
    words = bytes(profile).replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be")).replace(b"sRGB", b"xRGB")
    Image.fromarray(picture()).save(tmp_path / "exchanged.png", icc_profile=words)
    near(read_image(tmp_path / "exchanged.png"), picture()[..., [1, 0, 2]], 3)


def test_first_frame_of_an_animation(tmp_path):
    first, second = Image.fromarray(picture()), Image.fromarray(255 - picture())
    first.save(tmp_path / "moving.webp", save_all=True, append_images=[second], lossless=True)
    near(read_image(tmp_path / "moving.webp"), picture(), 0)
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    assert np.abs(read_image(tmp_path / "moving.gif").astype(int) - picture()).mean() < 40


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif"])
def test_cut_short_files_get_a_sentence(tmp_path, suffix):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8)).save(whole)
    path.write_bytes(whole.read_bytes()[:len(whole.read_bytes()) // 2])
    with pytest.raises(RigError, match=rf"cut\.{suffix} is damaged or cut short") as caught:
        read_image(path)
    assert str(caught.value).count("\n") == 0


def test_files_that_are_no_images(tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("this is not a picture")
    (tmp_path / "drawing.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    for name, words in (("empty.jpg", "is empty"), ("text.png", "is not an image"), ("drawing.jpg", "is not an image")):
        with pytest.raises(RigError, match=words) as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(UsageError, match="There is no image"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(UsageError, match="is a folder"):
        read_image(tmp_path)


def test_the_megapixel_limit_holds_before_decoding(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(_png(30000, 30000, 8, 2, b""))  # 900 megapixels in under 100 bytes
    with pytest.raises(RigError, match=r"900\.0 megapixels.*--max_megapixels"):
        read_image(path)
    with pytest.raises(RigError, match="damaged or cut short"):
        decode_image(_png(300, 300, 8, 2, b""), "small")
    Image.fromarray(picture()).save(tmp_path / "small.png")
    with pytest.raises(RigError, match="megapixels"):
        read_image(tmp_path / "small.png", max_megapixels=0.002)
    assert read_image(tmp_path / "small.png", max_megapixels=0.0024).shape == (40, 60, 3)
    assert Image.MAX_IMAGE_PIXELS is not None  # Pillow's own guard is back for everyone else


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_damage_never_escapes_as_a_traceback(tmp_path):
    stream = np.random.default_rng(1)
    for suffix in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"):
        buffer = io.BytesIO()
        Image.fromarray(picture()).save(buffer, suffix)
        for _ in range(40):
            data = bytearray(buffer.getvalue())
            for place in stream.integers(0, len(data), 12):
                data[place] = stream.integers(0, 256)
            with contextlib.suppress(RigError):  # any other error fails the test
                got = decode_image(bytes(data), "hurt", 1.0)
                assert got.ndim == 3
                assert got.dtype == np.uint8


def test_png_text_round_trip(tmp_path):
    path = tmp_path / "with text.png"
    text = {"Software": "diffusionrig", "Name": "Zoë – 中文", "Long": "x" * 5000}
    write_png(path, picture(), text)
    assert read_png_text(path) == text
    near(read_image(path), picture(), 0)
    assert png_bytes(picture(), text) == path.read_bytes()
    write_png(path, picture()[..., 0])
    assert read_png_text(path) == {}
    with pytest.raises(ValueError, match="uint8"):
        png_bytes(picture().astype(float))


def test_the_level_of_a_png_is_that_of_its_compressor():
    rows, columns = np.mgrid[:96, :96]
    shaded = np.stack([rows + columns, 2 * rows, (rows * columns) % 251], 2).astype(np.uint8)
    made = {level: png_bytes(shaded, level=level) for level in (0, 1, 3, 6, 9)}
    assert len(made[0]) > shaded.nbytes  # stored, not compressed
    assert len(made[9]) <= len(made[6]) < len(made[3]) < len(made[1]) < len(made[0])
    assert made[3] == png_bytes(shaded)
    for data in made.values():
        near(decode_image(data, "made", 1.0), shaded, 0)


def test_png_text_of_other_files(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.jpg")
    with pytest.raises(RigError, match="not a PNG file"):
        read_png_text(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="There is no image"):
        read_png_text(tmp_path / "b.png")


def test_a_full_disk_gets_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diffusionrig.io.files.os.fsync", full)
    with pytest.raises(RigError, match="No space left on device"):
        write_png(tmp_path / "a.png", picture())
    assert list(tmp_path.iterdir()) == []


def test_hash_is_of_the_file(tmp_path):
    import hashlib

    write_png(tmp_path / "a.png", picture())
    array, digest = read_image_and_hash(tmp_path / "a.png")
    near(array, picture(), 0)
    assert digest == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()


def test_find_images(tmp_path):
    for name in ("b.JPG", "a.png", "sub/c.Jpeg", "sub/deep/d.WebP", ".hidden.png", ".cache/e.png", "notes.txt", "._a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert names == ["a.png", "b.JPG", "sub/c.Jpeg", "sub/deep/d.WebP"]
    assert [path.name for path in find_images(tmp_path, recursive=False)] == ["a.png", "b.JPG"]
    with pytest.raises(UsageError, match="There is no folder"):
        find_images(tmp_path / "absent")
    with pytest.raises(UsageError, match="is a file"):
        find_images(tmp_path / "a.png")


def test_only_raster_formats_are_opened():
    assert not {"EPS", "PDF", "WMF", "PSD"} & set(images._FORMATS)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_read_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](picture())))
    stored.save(tmp_path / "photo.avif", quality=98, subsampling="4:4:4", exif=exif)
    near(read_image(tmp_path / "photo.avif"), picture(), 12)
    assert find_images(tmp_path) == [tmp_path / "photo.avif"]
    (tmp_path / "photo.avif").write_bytes((tmp_path / "photo.avif").read_bytes()[:-300])
    with pytest.raises(RigError, match=r"photo\.avif is "):
        read_image(tmp_path / "photo.avif")


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_a_pillow_without_avif_says_so(tmp_path, monkeypatch):
    Image.fromarray(picture()).save(tmp_path / "photo.avif")
    monkeypatch.setattr(images.features, "check", lambda name: False)
    with pytest.raises(RigError, match=r"photo\.avif is an AVIF picture, which this Pillow cannot read; install Pillow 11\.3"):
        read_image(tmp_path / "photo.avif")


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"pixels"


def test_heic_names_the_extra_that_reads_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "IMG_1.HEIC").write_bytes(HEIC)
    assert find_images(tmp_path) == [tmp_path / "IMG_1.HEIC"]
    with pytest.raises(RigError, match=r'IMG_1\.HEIC is a HEIC picture, .* pip install "diffusionrig\[heif\]", or export'):
        read_image(tmp_path / "IMG_1.HEIC")


def test_heic_is_read_by_a_fake_of_the_extra(tmp_path, monkeypatch):
    class FakeHeif(ImageFile.ImageFile):
        """Shows a picture in place of the bytes that it is given."""

        format = "HEIF"

        def _open(self):
            self._size, self._mode, self.tile = (60, 40), "RGB", []

        def load(self):
            self.im = Image.fromarray(picture()).im

    calls = []

    def register():
        calls.append(1)
        Image.register_open("HEIF", FakeHeif, lambda prefix: prefix[4:12] == b"ftypheic")

    monkeypatch.setitem(sys.modules, "pillow_heif", types.SimpleNamespace(register_heif_opener=register))
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    (tmp_path / "a.heic").write_bytes(HEIC)
    for _ in range(2):
        np.testing.assert_array_equal(read_image(tmp_path / "a.heic"), picture())
    assert len(calls) == 1
