"""create-data, train and edit with DECA and FLAME, from files in the real formats to edited pictures."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from diffusionrig.capture.registry import available_encoders, best_encoder, make_encoder
from diffusionrig.cli import main
from diffusionrig.data.dataset import FaceStoreDataset
from diffusionrig.data.records import code_from_arrays
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.editing.rig import Rig
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint
from diffusionrig.io.store import StoreReader
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.network import build_network
from diffusionrig.render.physical import render_buffers

MODEL = ModelConfig(image_size=32, num_channels=32, channel_mult="1,1", num_res_blocks=1, attention_resolutions="16")
FLAGS = ["--image_size", "32", "--num_channels", "32", "--channel_mult", "1,1", "--num_res_blocks", "1",
         "--attention_resolutions", "16"]


@pytest.fixture(autouse=True)
def registered(standin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(standin_folder))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three faces and a picture of noise."""
    folder, head = tmp_path_factory.mktemp("photos"), load_head()
    people = [sample_person(78, i, head) for i in range(3)]
    scenes = [sample_scene(person, 78, 0, head, yaw_limit=20) for person in people]
    for i, image in enumerate(render_photographs(people, scenes, head, 256)):
        Image.fromarray(image).save(folder / f"{i}.png")
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return folder


@pytest.fixture(scope="module")
def store(photos: Path, standin_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "faces"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIFFUSIONRIG_DATA", str(standin_folder))
        assert main(["create-data", "--data_dir", str(photos), "--output_dir", str(path), "--image_size", "32",
                     "--use_model", "DECA", "--use_meanshape", "True"]) == 0
    return path


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as published: named tensors and nothing that says what they belong to."""
    path = tmp_path_factory.mktemp("released") / "model050000.pt"
    export_legacy(path, build_network(MODEL, seed=1).state_dict())
    return path


def stored_codes(store: Path) -> FaceCode:
    reader = StoreReader(store)
    return FaceCode.concatenate([code_from_arrays(reader.record(i, image=False).arrays, "flame-2020", "test")
                                 for i in range(len(reader))])


def test_decas_files_make_it_usable() -> None:
    assert available_encoders()["DECA"] == ""
    assert best_encoder("open-head-1") == "FIT"
    assert best_encoder("flame-2020") != "FIT"


def test_a_store_says_whose_codes_it_holds_and_leaves_out_what_is_no_face(store: Path) -> None:
    header, report = StoreReader(store).header, json.loads((store / "report.json").read_text())
    assert (header["head"], header["head_hash"], header["encoder"]) == ("flame-2020", load_head("flame-2020").hash, "DECA")
    assert (report["found"], report["used"], report["refused"]) == (4, 3, 1)
    assert "No face was found" in report["refused_images"][0]["reason"]
    mean = np.load(store / "mean_shape.npy")
    assert mean.shape == (1, 100)
    np.testing.assert_allclose(mean[0], stored_codes(store).shape.mean(0).numpy(), atol=1e-6)
    np.testing.assert_allclose(header["mean_shape"], mean[0], atol=1e-7)


def test_training_sees_the_renderers_buffers_with_the_mean_shape(store: Path) -> None:
    head = load_head("flame-2020")
    dataset = FaceStoreDataset(store, head=head)
    codes = stored_codes(store)
    mean = torch.tensor(dataset.header["mean_shape"])[None].expand(3, -1)
    expected = render_buffers(head, codes.replace(shape=mean), 32).stack()
    assert (expected[:, 3:6] != 0).any()
    found = render_buffers(head, codes.replace(shape=dataset.mean_shape.expand(3, -1)), 32).stack()
    torch.testing.assert_close(found, expected)
    with pytest.raises(RigError, match="made with the head model flame-2020, not open-head-1"):
        FaceStoreDataset(store, head=load_head())


def test_edit_captures_what_create_data_stored(store: Path, photos: Path, released: Path) -> None:
    rig = Rig.from_pretrained(released, device="cpu", encoder="DECA", model={"image_size": MODEL.image_size})
    assert rig.head.name == "flame-2020"
    faces = rig.capture([photos / f"{i}.png" for i in range(3)])
    for name, tensor in stored_codes(store).tensors().items():
        assert torch.equal(faces.code.tensors()[name], tensor), name
    head = rig.head
    own = ffhq_centre(head.landmarks(head.vertices(faces.code), faces.code))
    torch.testing.assert_close(faces.centre, own)
    turned = faces.code.swap("pose", faces.code[[1, 2, 0]])
    with torch.no_grad():
        expected = torch.cat([render_buffers(head, turned[i], 32, centre=own[i:i + 1]).stack() for i in range(3)])
    different = (rig.buffers(turned, faces.centre).stack() - expected).abs().amax(1) > 1e-4
    assert different.sum() <= 2  # a pixel on an edge may go either way in a batch


def test_released_weights_go_on_with_flame_stores_and_say_so(store: Path, released: Path, tmp_path: Path) -> None:
    assert main(["train", *FLAGS, "--data_dir", str(store), "--log_dir", str(tmp_path / "run"), "--stage", "2",
                 "--resume_checkpoint", str(released), "--max_steps", "1", "--batch_size", "2", "--num_workers", "1",
                 "--consent", "my own pictures"]) == 0
    tensors, meta = load_checkpoint(next((tmp_path / "run").glob("model*.safetensors")))
    assert meta["head"] == {"name": "flame-2020", "hash": load_head("flame-2020").hash}
    assert tuple(tensors["mean_shape"].shape) == (1, 100)


def test_edit_with_released_weights_and_a_published_mean_shape(photos: Path, store: Path, released: Path, tmp_path: Path) -> None:
    mean = torch.from_numpy(np.load(store / "mean_shape.npy"))
    (tmp_path / "mean_shape.pkl").write_bytes(pickle.dumps(mean))
    assert main(["edit", *FLAGS, "--model_path", str(released), "--use_model", "deca", "--source", str(photos / "0.png"),
                 "--target", str(photos / "1.png"), "--modes", "pose,exp,light", "--meanshape", str(tmp_path / "mean_shape.pkl"),
                 "--timestep_respacing", "ddim2", "--output_dir", str(tmp_path / "out"), "--save_buffers", "True"]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["model"]["head"] == "flame-2020"
    assert sorted(path.name for path in (tmp_path / "out").glob("?_*.png")) == ["0_pose.png", "1_exp.png", "2_light.png"]


def test_wrong_combinations_are_one_sentence(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["create-data", "--data_dir", str(photos), "--output_dir", str(tmp_path / "store")]
    assert main([*flags, "--use_model", "DECA", "--head", "open-head-1"]) == 2
    assert "makes codes of the head model flame-2020, not of open-head-1; use FIT" in capsys.readouterr().err
    with pytest.raises(UsageError, match="makes codes of the head model flame-2020"):
        make_encoder("DECA", load_head())


def test_damaged_weights_are_one_sentence(standin_folder: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    for path in standin_folder.iterdir():
        if path.is_file() and path.name != "deca_model.tar":
            (tmp_path / path.name).symlink_to(path)
    shutil.copyfile(standin_folder / "deca_model.tar", tmp_path / "deca_model.tar")
    with open(tmp_path / "deca_model.tar", "r+b") as file:
        file.truncate(100_000)
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))
    status = main(["create-data", "--data_dir", str(photos), "--output_dir", str(tmp_path / "store"), "--use_model", "DECA"])
    errors = capsys.readouterr().err
    assert status == 1
    assert "deca_model.tar" in errors
    assert "Traceback" not in errors
