import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from diffusionrig.cli import main
from diffusionrig.editing.provenance import KEY, read_provenance, write_edited
from diffusionrig.errors import RigError


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "0_exp.png"
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    write_edited(path, image, model_hash="ab" * 32, mode="exp", seed=3)
    return path


def test_the_record_comes_back_whole(picture):
    record = read_provenance(picture)
    assert record["statement"] == "AI-edited"
    assert record["mode"] == "exp"
    assert record["model"] == "ab" * 32
    assert record["software"].startswith("diffusionrig ")
    assert record["intact"]
    assert Image.open(picture).text["Comment"] == "AI-edited"


def test_a_retouched_picture_is_found_out(picture, capsys):
    with Image.open(picture) as image:
        text = image.text[KEY]
        pixels = np.asarray(image).copy()
    pixels[0, 0, 0] ^= 1
    info = PngImagePlugin.PngInfo()
    info.add_text(KEY, text)
    Image.fromarray(pixels).save(picture, pnginfo=info)
    assert not read_provenance(picture)["intact"]
    assert main(["verify", str(picture)]) == 1
    assert "PIXELS CHANGED" in capsys.readouterr().out


def test_verify_reads_back_and_prints_json(picture, capsys):
    assert main(["verify", str(picture)]) == 0
    assert "AI-edited by diffusionrig" in capsys.readouterr().out
    assert main(["verify", "--json", "True", str(picture)]) == 0
    assert json.loads(capsys.readouterr().out)["mode"] == "exp"


def test_a_picture_without_a_record_is_one_sentence(tmp_path, capsys):
    path = tmp_path / "plain.png"
    Image.new("RGB", (4, 4)).save(path)
    with pytest.raises(RigError, match="no diffusionrig provenance"):
        read_provenance(path)
    assert main(["verify", str(path)]) == 1
    assert main(["verify", str(tmp_path / "absent.png")]) == 2
    error = capsys.readouterr().err
    assert "absent.png" in error
    assert "Traceback" not in error
