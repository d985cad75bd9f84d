"""The commands of the published README, as written, at 64 pixels and for a few steps."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffusionrig.cli import main
from diffusionrig.io.files import sha256_of

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(folder: Path, line: str) -> str:
    words = line.split()
    if words[0] in {"python", "mpiexec"}:
        words[0] = str(BIN / words[0])
    words = [str(BIN / "python") if word == "python" else word for word in words]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


LINES = [
    "python scripts/create_data.py --data_dir aligned --output_dir ffhq256_deca.lmdb --image_size 256 --use_meanshape False",
    "python scripts/create_data.py --data_dir aligned --output_dir personal_deca.lmdb --image_size 256 --use_meanshape True",
    "mpiexec -n 8 python scripts/train.py --latent_dim 64 --encoder_type resnet18 --log_dir log/stage1 --data_dir "
    "ffhq256_deca.lmdb --lr 1e-4 --p2_weight True --image_size 256 --batch_size 32 --max_steps 50000 --num_workers 8 "
    "--save_interval 5000 --stage 1",
    "mpiexec -n 1 python scripts/train.py --latent_dim 64 --encoder_type resnet18 --log_dir log/stage2 --resume_checkpoint "
    "log/stage1/model050000.pt --data_dir personal_deca.lmdb --lr 1e-5 --p2_weight True --image_size 256 --batch_size 4 "
    "--max_steps 5000 --num_workers 8 --save_interval 5000 --stage 2",
    "python scripts/inference.py --source aligned --target aligned/portrait.png --output_dir out --modes light --model_path "
    "log/stage2/model005000.pt --meanshape personal_deca.lmdb/mean_shape.pkl --timestep_respacing ddim20"]
"""As published but for the names of photographs, which are the user's; the model's flags are given where they are given there."""

SMALLER = {"--image_size 256": "--image_size 64", "--max_steps 50000": "--max_steps 2", "--max_steps 5000": "--max_steps 2",
           "--batch_size 32": "--batch_size 2", "-n 8": "-n 2", "model050000": "model000002",
           "model005000": "model000002", "ddim20": "ddim2",
           "--p2_weight": "--num_channels 32 --sample_count 0 --metric_count 0 --p2_weight"}


def smaller(line: str) -> str:
    for large, small in SMALLER.items():
        line = line.replace(large, small)
    return line


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_published_readme(tmp_path):
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    assert main(["synth", "--output_dir", str(tmp_path / "people"), "--count", "5", "--image_size", "256", "--seed", "5",
                 "--album", "1"]) == 0
    shutil.move(tmp_path / "people" / "photos", tmp_path / "photos")
    shutil.copy(ROOT / "diffusionrig" / "assets" / "portrait.jpg", tmp_path / "photos" / "portrait.jpg")
    run(tmp_path, "python scripts/align.py -i photos -o aligned -s 256")
    assert len(list((tmp_path / "aligned").glob("*.png"))) == 6
    said = [run(tmp_path, smaller(line)) for line in LINES]
    assert "model000002.safetensors beside it is taken" in said[3]
    assert "model000002.safetensors beside it is taken" in said[4]
    for index in range(6):
        assert (tmp_path / "out" / f"{index}_light.png").exists()
    assert not list((tmp_path / "log").rglob("model*.pt"))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["model"]["hash"] == sha256_of(tmp_path / "log" / "stage2" / "model000002.safetensors")
