"""A valid small file of every kind that is read, made by our own writers or the libraries that write such files."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import av
import lmdb
import numpy as np
import torch
from PIL import Image

from diffusionrig.capture.saved_codes import save_codes
from diffusionrig.editing.provenance import write_edited
from diffusionrig.faces.output_names import SOURCE, SOURCE_HASH
from diffusionrig.faces.placement import placement_text
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.io.array_files import write_array_file
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.checkpoints import export_legacy, save_checkpoint, save_state
from diffusionrig.io.files import write_json
from diffusionrig.io.h5_writing import H5Writer
from diffusionrig.io.images import write_png
from diffusionrig.io.record import Record, pack
from diffusionrig.io.settings_files import write_settings
from diffusionrig.io.store import StoreWriter
from diffusionrig.io.tables import write_number_table, write_text_table
from diffusionrig.io.wav import write_wav
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import DiffusionRig

SIDE = 48
TINY = {"image_size": 32, "num_channels": 8, "num_res_blocks": 1, "norm_groups": 4, "channel_mult": "1,2", "latent_dim": 8,
        "attention_resolutions": "16", "condition": "reference", "encoder_type": "none"}


def make_inputs(folder: Path, seed: int = 0) -> dict[str, Path]:
    """Files in ``folder`` by a name that says what they are; a store is its file ``data.mdb``."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (SIDE // 4, SIDE // 4, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    return {**_pictures(folder, picture), **_moving(folder, picture), **_arrays(folder, random), **_texts(folder, random),
            **_networks(folder), **_stores(folder, picture)}


def _pictures(folder: Path, picture: np.ndarray) -> dict[str, Path]:
    found = {name: folder / f"{name}.{ending}" for name, ending in (
        ("edited", "png"), ("aligned", "png"), ("deep", "png"), ("palette", "png"), ("jpeg", "jpg"), ("webp", "webp"),
        ("tiff", "tif"), ("bmp", "bmp"),
        ("avif", "avif"), ("gif", "gif"), ("moving_gif", "gif"), ("moving_webp", "webp"), ("moving_png", "png"))}
    write_edited(found["edited"], picture, model_hash="a" * 64, mode="exp", consent="stated")
    write_png(found["aligned"], picture, {SOURCE: "a.jpg", SOURCE_HASH: "0" * 64, **placement_text(np.eye(3), SIDE)})
    Image.fromarray(picture[..., 0].astype(np.uint16) * 257).save(found["deep"])
    image = Image.fromarray(picture)
    image.quantize(16).save(found["palette"], transparency=3)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    image.save(found["jpeg"], quality=80, exif=exif)
    image.save(found["webp"], quality=80, exif=exif)
    image.save(found["tiff"], compression="tiff_lzw")
    image.save(found["bmp"])
    image.save(found["gif"])
    frames = [Image.fromarray(np.roll(picture, 8 * shift, 1)) for shift in range(4)]
    for name in ("moving_gif", "moving_webp", "moving_png"):
        frames[0].save(found[name], save_all=True, append_images=frames[1:], duration=80, loop=0)
    try:
        image.save(found["avif"], quality=60)
    except (KeyError, OSError):  # a Pillow without AVIF
        del found["avif"]
    return found


def _moving(folder: Path, picture: np.ndarray) -> dict[str, Path]:
    found = {"mp4": folder / "clip.mp4", "webm": folder / "clip.webm", "avi": folder / "clip.avi", "wav": folder / "sound.wav",
             "float_wav": folder / "float.wav", "aac": folder / "sound.aac"}
    tone = (np.sin(np.arange(4800) * 0.06) * 0.5).astype(np.float32)
    for name, codec, voice in (("mp4", "libx264", "aac"), ("webm", "libvpx-vp9", "libopus"), ("avi", "mpeg4", "")):
        with av.open(str(found[name]), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
            sound = container.add_stream(voice, rate=48000, layout="mono") if voice else None
            for number in range(8):
                frame = av.VideoFrame.from_ndarray(np.roll(picture, 6 * number, 0), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if sound is not None:
                _speak(container, sound, tone)
    with av.open(str(found["aac"]), "w", format="adts") as container:
        _speak(container, container.add_stream("aac", rate=48000, layout="mono"), tone)
    write_wav(found["wav"], (tone[:, None] * 30000).astype(np.int16), 16000)
    with av.open(str(found["float_wav"]), "w") as container:
        _speak(container, container.add_stream("pcm_f32le", rate=48000, layout="mono"), tone)
    return found


def _speak(container: av.container.OutputContainer, stream: av.AudioStream, tone: np.ndarray) -> None:
    form = "flt" if stream.codec_context.name in ("libopus", "pcm_f32le") else "fltp"
    for begin in range(0, len(tone), 960):
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone[None, begin:begin + 960]), format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, begin, Fraction(1, 48000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _arrays(folder: Path, random: np.random.Generator) -> dict[str, Path]:
    found = {"npy": folder / "numbers.npy", "text_npy": folder / "text.npy", "npz": folder / "arrays.npz",
             "codes": folder / "codes.npz", "packed_npz": folder / "packed.npz", "h5": folder / "features.h5",
             "pickled_npy": folder / "object.npy",
             "pickled_tensor": folder / "mean_shape.pkl"}
    write_npy(found["npy"], random.normal(size=(12, 5)).astype(np.float32))
    write_npy(found["text_npy"], np.array(["0.5", "1.5"]))
    write_array_file(found["npz"], {"a": random.normal(size=(7, 3)), "b": np.arange(9), "name": np.array("somebody")},
                     compress=False)
    write_array_file(found["packed_npz"], {"a": random.normal(size=(7, 3)), "b": np.zeros(400)})
    code = FaceCode(shape=torch.randn(2, 10), albedo=torch.randn(2, 8), expression=torch.randn(2, 6), pose=torch.zeros(2, 6),
                    camera=torch.ones(2, 3), light=torch.randn(2, 9, 3), head="open")
    save_codes(found["codes"], code, ["a.png", "b.png"])
    with H5Writer(found["h5"]) as file:
        file.describe({"skipped": "{}", "rate": 25.0})
        file.texts("names", ["one", "two"], {"about": "clips"})
        file.create("loudness", (2, 40, 3), "<f4", {"rate": 25.0}, packed=True)
        file.write("loudness", 0, random.normal(size=(40, 3)).astype(np.float32))
    np.save(found["pickled_npy"], np.array({"faces": np.arange(12), "bary": torch.rand(4, 3)}, object), allow_pickle=True)
    found["pickled_tensor"].write_bytes(pickle.dumps(torch.randn(1, 10)))
    return found


def _texts(folder: Path, random: np.random.Generator) -> dict[str, Path]:
    found = {"json": folder / "report.json", "yaml": folder / "config.yaml", "emoca": folder / "cfg.yaml",
             "numbers": folder / "numbers.csv", "text_table": folder / "pairs.csv", "labels": folder / "labels.csv",
             "progress": folder / "progress.csv",
             "live": folder / "speaker.txt", "sliders": folder / "sliders.txt"}
    write_json(found["json"], {"command": "align", "counts": {"aligned": 3},
                               "files": [{"file": "a.jpg", "matrix": [[1.0, 0, 2]]}] * 3})
    write_settings(found["yaml"], {"train": {"lr": 1e-4, "stage": 1, "data_dir": "faces"}, "model": TINY})
    found["emoca"].write_text("detail:\n  model: {n_exp: 50, names: [a, b]}\ncoarse: &c {x: 1}\nagain: *c\n")
    write_number_table(found["numbers"], ["one", "two", "three"], random.normal(size=(9, 3)))
    write_text_table(found["text_table"], ["speaker", "listener"], [["a/b", "c/d"]] * 4)
    write_text_table(found["labels"], ["pth", "expression", "valence"], [[f"{number}.jpg", "3", "0.5"] for number in range(5)])
    write_text_table(found["progress"], ["step", "loss"], [[number, 0.5] for number in range(6)])
    frame = " ".join(f"{value:.4f}" for value in random.normal(size=58))
    entry = {"coefficients": [0.1] * 58, "emotion": [0.2] * 25, "sound": "AAAAAA=="}
    found["live"].write_text(f"{frame}\n{json.dumps(entry)}\n")
    found["sliders"].write_text("jawOpen=0.6,yaw=+10,mouthSmileLeft=-0.2")
    return found


def _networks(folder: Path) -> dict[str, Path]:
    found = {"state": folder / "state000010.pt", "released": folder / "model000010.pt", "old_pt": folder / "old.pt",
             "safetensors": folder / "model000010.safetensors", "tensor": folder / "tensor.pt",
             "adapter": folder / "adapter.safetensors"}
    config = ModelConfig(**TINY)
    tensors = {name: value.half() for name, value in DiffusionRig(config).state_dict().items()}
    few = dict(list(tensors.items())[:6])
    meta = {"model": config.to_dict(), "diffusion": {"diffusion_steps": 100}, "head": {"name": "open", "hash": "0" * 64},
            "stage": 2, "step": 10, "consent": "yes", "data": {"records": 3},
            "best": {"step": 5, "loss": 0.1, "held_out": 2, "loss_at_start": 0.2}}
    save_checkpoint(found["safetensors"], tensors, meta)
    save_checkpoint(found["adapter"], few, {**meta, "kind": "adapter", "adapter": {"rank": 2}, "base": {
        "name": "base", "hash": "0" * 64, "bytes": 5, "path": "base.safetensors"}})
    save_state(found["state"], {"format": 1, "model": few, "step": 10, "optimizer": {"state": {0: torch.zeros(3)}},
                                "notes": [1, "a", b"x"]})
    export_legacy(found["released"], few)
    torch.save(OrderedDict(few), found["old_pt"], _use_new_zipfile_serialization=False)
    torch.save(torch.randn(3, 4), found["tensor"])
    return found


def _stores(folder: Path, picture: np.ndarray) -> dict[str, Path]:
    found = {"record": folder / "record.bin", "halves": folder / "halves.bin", "store": folder / "store" / "data.mdb",
             "published": folder / "published" / "data.mdb"}
    from diffusionrig.io.images import png_bytes

    png = png_bytes(picture)
    records = [Record(f"faces/{number}.jpg", png, {"shape": np.ones(10, np.float32), "pose": np.zeros(6, np.float32)},
                      {"flagged": "small", "label": number}, np.full((9, SIDE, SIDE), 0.25, np.float32)) for number in range(3)]
    found["record"].write_bytes(pack(records[0], "uint8"))
    found["halves"].write_bytes(pack(records[0], "float16"))
    with StoreWriter(folder / "store", {"image_size": SIDE, "head": "open", "head_hash": "0" * 64, "encoder": "FIT",
                                        "buffers": "uint8"}) as writer:
        writer.append(records, [("faces/x.jpg", "no face")])
        writer.update_header(complete=True)
    with lmdb.open(str(folder / "published"), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"length", b"2")
        for number in range(2):
            transaction.put(b"image_%06d" % number, png)
            for part in (b"rendered", b"normal", b"albedo"):
                transaction.put(b"%s_%06d" % (part, number), pickle.dumps(torch.zeros(3, SIDE, SIDE)))
    return found


def rezipped(data: bytes, change: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    """The zip ``data`` with other contents for some members, and right checksums."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "w", kind) as target:
        for name in source.namelist():
            target.writestr(name, change.get(name, source.read(name)))
    return stream.getvalue()
