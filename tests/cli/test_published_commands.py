"""The commands of the published README, as written, at 64 pixels and for a few steps."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from diffusionrig.cli import main

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
    return done.stdout


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
    run(tmp_path, "python scripts/create_data.py --data_dir aligned --output_dir faces --image_size 64 --use_meanshape False")
    run(tmp_path, "mpiexec -n 2 python scripts/train.py --latent_dim 64 --encoder_type resnet18 --log_dir log/stage1 "
                  "--data_dir faces --lr 1e-4 --p2_weight True --image_size 64 --batch_size 2 --max_steps 2 --num_workers 8 "
                  "--save_interval 5000 --stage 1")
    run(tmp_path, "python scripts/create_data.py --data_dir aligned --output_dir personal --image_size 64 --use_meanshape True")
    run(tmp_path, "mpiexec -n 1 python scripts/train.py --latent_dim 64 --encoder_type resnet18 --log_dir log/stage2 "
                  "--resume_checkpoint log/stage1/model000002.safetensors --data_dir personal --lr 1e-5 --p2_weight True "
                  "--image_size 64 --batch_size 4 --max_steps 2 --num_workers 8 --save_interval 5000 --stage 2 --export_pt True")
    for model in ("model000002.safetensors", "model000002.pt"):
        out = f"out-{model.rsplit('.')[-1]}"
        run(tmp_path, f"python scripts/inference.py --source aligned --target aligned/portrait.png --output_dir {out} "
                      f"--modes light --model_path log/stage2/{model} --meanshape personal/mean_shape.pkl --image_size 64 "
                      "--timestep_respacing ddim2 --batch_size 8")
        assert (tmp_path / out / "5_light.png").exists()
    first, second = ((tmp_path / out / "0_light.png").read_bytes() for out in ("out-safetensors", "out-pt"))
    assert len(first) > 0
    assert len(second) > 0
