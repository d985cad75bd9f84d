"""Small files that would unfold to gigabytes, or take for ever: each is refused within two seconds and 300 MB, by one sentence."""

import io
import json
import pickle
import struct
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refused
from standins.hostile import zipped_torch

from diffusionrig.errors import RigError
from diffusionrig.io.animations import animation_frames
from diffusionrig.io.array_files import read_array_file
from diffusionrig.io.arrays import read_npy
from diffusionrig.io.checkpoints import load_released, load_state, load_weights, save_checkpoint, save_state
from diffusionrig.io.files import read_json
from diffusionrig.io.h5_files import H5File
from diffusionrig.io.images import decode_image, png_bytes, read_image, read_png_text
from diffusionrig.io.mapped_npy import map_npy
from diffusionrig.io.pt_files import read_pt
from diffusionrig.io.record import Record, pack, unpack
from diffusionrig.io.settings_files import read_settings
from diffusionrig.io.yaml_text import parse_yaml
from diffusionrig.model.building import built_within
from diffusionrig.model.config import ModelConfig
from diffusionrig.settings import MOST, from_mapping


def png(width: int, height: int, depth: int, kind: int, packed: bytes) -> bytes:
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
                                           for name, data in chunks)


def zeros(size: int) -> bytes:
    packer = zlib.compressobj()
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)), packer.flush()])


def test_a_picture_of_99_megapixels_and_16_bits(tmp_path):
    for kind in (0, 2):
        (tmp_path / "deep.png").write_bytes(png(9950, 9950, 16, kind, zeros(200 << 20)))
        refused(lambda: read_image(tmp_path / "deep.png"), r"99.0 megapixels .* of 16 bits, which count as 198.0, more")
        assert read_png_text(tmp_path / "deep.png") == {}  # no pixel is decoded


def test_small_files_of_more_pixels_than_the_limit(tmp_path):
    refused(lambda: decode_image(png(9900, 9900, 8, 2, zeros(2 << 20)), "flat.png", 90.0), "98.0 megapixels .* the limit of 90")
    stream = io.BytesIO()
    Image.new("L", (9000, 9000)).save(stream, "GIF", save_all=True, append_images=[Image.new("L", (9000, 9000), 1)])
    (tmp_path / "a.gif").write_bytes(stream.getvalue())
    refused(lambda: list(animation_frames(tmp_path / "a.gif", 80.0)), "81.0 megapixels .* the limit of 80")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_a_blank_page_is_no_bomb(kind):
    stream = io.BytesIO()
    extra = {"WEBP": {"lossless": True, "method": 0}, "TIFF": {"compression": "tiff_lzw"}}.get(kind, {})
    Image.new("RGB", (6500, 4620), (255, 255, 255)).save(stream, kind, **extra)
    page = decode_image(stream.getvalue(), "scan")
    assert page.shape == (4620, 6500, 3)
    assert page.min() == 255


def test_texts_are_read_wherever_they_are(tmp_path):
    whole = png_bytes(np.zeros((4, 4, 3), np.uint8), {"a": "before"})
    late = png_bytes(np.zeros((4, 4, 3), np.uint8), {"b": "é behind"})
    at = late.index(b"iTXt") - 4
    chunk = late[at:at + 12 + int.from_bytes(late[at:at + 4], "big")]
    (tmp_path / "a.png").write_bytes(whole[:-12] + chunk + whole[-12:])
    assert read_png_text(tmp_path / "a.png") == {"a": "before", "b": "é behind"}
    for cut in (whole[:-13], whole[:40], whole[:-12]):
        (tmp_path / "a.png").write_bytes(cut)
        refused(lambda: read_png_text(tmp_path / "a.png"), "cut short")


def test_a_large_photograph_is_read_all_the_same():
    noise = np.random.default_rng(0).integers(0, 256, (700, 700), np.uint8).repeat(8, 0).repeat(8, 1)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG", quality=60)
    assert decode_image(stream.getvalue(), "large.jpg").shape == (5600, 5600, 3)


def test_deep_greys_keep_their_values():
    grey = np.linspace(0, 65535, 2_000_000).reshape(1000, 2000).astype(np.uint16)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    assert np.abs(decode_image(stream.getvalue())[..., 0].astype(float) - grey / 257.0).max() <= 0.51


def npz(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(shape: tuple[int, ...], size: int = 0) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + bytes(size)


def test_arrays_that_unfold(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz({"a.npy": npy((50_000_000,), 200_000_000)}))
    refused(lambda: read_array_file(tmp_path / "a.npz"), "unfolds to far more")
    (tmp_path / "b.npz").write_bytes(npz({"a.npy": npy((2_500_000_000,), 100)}))
    refused(lambda: read_array_file(tmp_path / "b.npz"), "does not hold the numbers that it declares")
    (tmp_path / "a.npy").write_bytes(npy((1 << 40, 1 << 40), 100))
    for read in (read_npy, map_npy):
        refused(lambda read=read: read(tmp_path / "a.npy"), "cut off")


def test_h5_that_was_never_written(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("wide", (4, 500_000_000), "<f4", chunks=(1, 1000))
        file.create_dataset("names", (500_000_000,), h5py.string_dtype(), chunks=(1000,))
        file.create_dataset("packed", (1, 50_000_000), "<f4", data=np.zeros((1, 50_000_000), np.float32), compression="gzip",
                            chunks=(1, 1_000_000))
    with H5File(tmp_path / "a.h5") as file:
        refused(lambda: file.row("wide", 0), "unfolds to 2000 MB")
        refused(lambda: file.row("packed", 0), "unfolds to 200 MB")
        refused(lambda: file.texts("names"), "unfolds to")


def test_h5_whose_texts_lead_nowhere(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["note"] = "texts in a heap"
        file.create_dataset("names", data=["one", "two"], dtype=h5py.string_dtype())
        file.create_dataset("numbers", data=np.zeros((3, 4)))
    data = (tmp_path / "a.h5").read_bytes()
    heap = data.index(b"GCOL")
    free = heap + 16
    while data[free:free + 2] != b"\0\0":
        free += 16 + -(-int.from_bytes(data[free + 8:free + 16], "little") // 8) * 8
    # The library itself goes round without end at a free entry of no bytes.
    for place, value in ((free + 8, 0), (free + 8, 1 << 40), (heap + 8, 1 << 40), (heap + 24, 1 << 50)):
        (tmp_path / "b.h5").write_bytes(data[:place] + struct.pack("<Q", value) + data[place + 8:])
        refused(lambda: H5File(tmp_path / "b.h5"), "texts")


def test_h5_of_which_only_the_rest_is_looked_through(tmp_path, monkeypatch):
    from diffusionrig.io import h5_files

    numbers = np.frombuffer((b"GCOL\x01\0\0\0" + b"\xff" * 8) * 64, np.uint8).reshape(2, -1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["note"] = "text"
        file.create_dataset("whole", data=numbers)
        file.create_dataset("chunks", data=numbers, chunks=(1, 64))
    refused(lambda: H5File(tmp_path / "a.h5"), "texts")
    monkeypatch.setattr(h5_files, "_LARGE", 0)
    with H5File(tmp_path / "a.h5") as file:
        assert file.attributes() == {"note": "text"}
        assert (file.row("chunks", 1) == numbers[1]).all()


def test_old_and_new_torch_files(tmp_path):
    path = tmp_path / "model000001.pt"
    plain = pickle.dumps({"a": 1})
    path.write_bytes(zipped_torch(plain, bytes(400_000_000), compress=True))
    for read in (load_released, load_state, load_weights, read_pt):
        refused(lambda read=read: read(path), "compressed zip")
    tensor = torch.zeros(2_000_000)
    torch.save({f"{number}": tensor.reshape(1, -1)[0] for number in range(60)}, path)
    refused(lambda: load_state(path), "repeat their numbers without end")


def test_pickles_of_endless_numbers_and_of_keys_that_collide(tmp_path):
    path = tmp_path / "state000001.pt"
    modulus = (1 << 61) - 1
    # Written out: a dictionary of such keys takes for ever to make, too.
    colliding = b"".join(b"\x8a\x0a" + (number * modulus).to_bytes(10, "little") + b"K\x00" for number in range(1, 60_000))
    for data, words in ((pickle.dumps({"a": 1 << 40_000}, 2), "endless length"), (b"\x80\x02}(" + colliding + b"u.", "usual size"),
                        (pickle.dumps({0.5: 0}, 2), "usual size")):
        path.write_bytes(zipped_torch(data, b""))
        refused(lambda: load_state(path), words)


def test_a_training_state_comes_back_as_it_was_saved(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"model": {"w": shared.T, "half": shared.half(), "none": torch.zeros(0, 3)}, "step": 10**12,
             "optimizer": {0: (shared, None)}, "notes": [1.5, "a", b"\x00\xff", True]}
    save_state(tmp_path / "state.pt", state)
    back = load_state(tmp_path / "state.pt")
    assert torch.equal(back["model"]["w"], shared.T)
    assert torch.equal(back["optimizer"][0][0], shared)
    assert back["model"]["half"].dtype == torch.float16
    assert back["model"]["none"].shape == (0, 3)
    assert (back["step"], back["notes"]) == (10**12, [1.5, "a", b"\x00\xff", True])


def test_records_whose_heads_lie():
    picture = png_bytes(np.zeros((8, 8, 3), np.uint8))
    data = pack(Record("a", picture, {"shape": np.ones(4, np.float32)}, {}, np.zeros((9, 8, 8), np.float32)), "float16")
    length = struct.unpack("<I", data[4:8])[0]
    head, values = json.loads(data[12:12 + length]), data[12 + length:28 + length]

    def record(**changed: object) -> bytes:
        text = json.dumps({**head, **changed}).encode()
        return b"DRS1" + struct.pack("<II", len(text), zlib.crc32(values, zlib.crc32(text))) + text + data[12 + length:]

    assert unpack(record(), "record").buffers is not None
    bomb = zeros(300 << 20)
    for changed in ({"arrays": [["shape", "<f4", [1 << 60, 1 << 60]]]}, {"arrays": [["shape", "<f4", [-4]]]}, {"arrays": 3},
                    {"fields": [1]}, {"source": 4}, {"buffers": {"kind": "float16", "shape": [9, 1 << 20, 1 << 20]}},
                    {"buffers": {"kind": "uint8", "shape": [9, 8, 8], "parts": [[1, 0, 1 << 70]]}}, {"buffers": 7}, {"image": "x"}):
        refused(lambda changed=changed: unpack(record(**changed), "record 1"), "record 1 is damaged")
    start = len(record()) - len(data[28 + length + len(picture):])
    refused(lambda: unpack(record()[:start] + bomb, "record 1"), "record 1 is damaged")
    text = b"[" * 100_000
    refused(lambda: unpack(b"DRS1" + struct.pack("<II", len(text), 0) + text, "record 1"), "nested too deeply")


@pytest.mark.parametrize(("text", "words"), [
    ("model:\n  a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(f"  {name}: &{name} [{','.join(['*' + before] * 10)}]\n"
                                                         for before, name in zip("abcdefghi", "bcdefghij")), "repeats its parts"),
    ("m: &a {k: 1, j: 2}\n" + "".join(f"{name}: &{name} {{<<: [{','.join(['*' + before] * 10)}]}}\n"
                                      for before, name in zip("abcdefghi", "bcdefghij")), "repeats its parts"),
    ("a: &a [*a]", "repeats its parts"), ("[" * 60_000, "nested too deeply"), ("- " * 30_000, "nested too deeply"),
    ("a: 1" + ":1" * 30_000, "endless"), ("a: 1\n" * 13_000, "too many values"), ("a: 1\n" * 50_000, "more than the 66 kB")])
def test_yaml_without_end(text, words, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    refused(lambda: read_settings(tmp_path / "config.yaml"), words)


def test_yaml_that_repeats_a_little_is_read():
    assert parse_yaml("a: &x [1, 2]\nb: *x\nc: {<<: {q: 1}, z: 3}") == {"a": [1, 2], "b": [1, 2], "c": {"q": 1, "z": 3}}


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" + "[]," * 3_000_000 + "1]", "9" * 5000, "\ud800"])
def test_json_without_end(text, tmp_path):
    (tmp_path / "report.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(lambda: read_json(tmp_path / "report.json"), "not valid JSON")


def test_descriptions_of_networks_that_nobody_can_build(tmp_path):
    from diffusionrig.editing.pretrained import load_pretrained

    small = {"image_size": 32, "num_channels": 8, "num_res_blocks": 1, "norm_groups": 4, "channel_mult": "1,2", "latent_dim": 8}
    for changed, words in (({"num_res_blocks": 10_000_000}, "beyond"), ({"num_channels": 10**9}, "beyond"),
                           ({"image_size": -5}, "beyond"), ({"channel_mult": ",".join("1" * 5000)}, "at most 16 resolutions"),
                           ({"num_res_blocks": 120}, "480 blocks"), ({"latent_dim": 10**400}, "beyond"),
                           ({"channel_mult": "1e308,1"}, "at most 256")):
        save_checkpoint(tmp_path / "model.safetensors", {"a": torch.zeros(1)},
                        {"model": {**small, **changed}, "diffusion": {}, "head": {"name": "open", "hash": ""}})
        refused(lambda: load_pretrained(tmp_path / "model.safetensors"), words)


def test_settings_of_every_network_have_a_bound():
    from diffusionrig.reactions.generators.stream.settings import StreamSettings

    for kind, name in ((ModelConfig, "num_res_blocks"), (StreamSettings, "layers"), (StreamSettings, "width")):
        with pytest.raises(RigError, match="beyond"):
            from_mapping(kind, {name: MOST[name] + 1}, "the model")
    with pytest.raises(RigError, match="list where the settings"):
        from_mapping(StreamSettings, [1], "the model")  # type: ignore[arg-type]


def test_a_network_is_built_no_larger_than_its_file():
    with built_within(10_000):
        torch.nn.Linear(20, 20)
    with pytest.raises(ValueError, match="far larger than the file"), built_within(10_000):
        torch.nn.Linear(2000, 2000)
