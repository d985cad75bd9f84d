"""The commands of DiffusionRig-Emo, as users write them, on stand-ins of the registered files: DECA and EMOCA by flags."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from diffusionrig.cli import main
from diffusionrig.io.store import StoreReader

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(folder: Path, line: str, data: Path, status: int = 0) -> str:
    words = [str(BIN / word) if word in {"python", "mpiexec"} else word for word in line.split()]
    environment = {**os.environ, "DIFFUSIONRIG_DATA": str(data),
                   "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == status, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_emotional_readme(tmp_path, standin_folder):
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    assert main(["synth", "--output_dir", str(tmp_path / "people"), "--count", "3", "--image_size", "256", "--seed", "5",
                 "--album", "1"]) == 0
    shutil.move(tmp_path / "people" / "photos", tmp_path / "photos")
    shutil.copy(ROOT / "diffusionrig" / "assets" / "portrait.jpg", tmp_path / "photos" / "portrait.jpg")
    run(tmp_path, "python scripts/align.py -i photos -o aligned -s 256", standin_folder)
    # Codes and meshes of the faces, by the demo script of EMOCA.
    run(tmp_path, "python scripts/capture.py --input_folder aligned --output_folder faces_out --model_name EMOCA_v2_lr_mse_20 "
                  "--save_codes True", standin_folder)
    codes = np.load(tmp_path / "faces_out" / "EMOCA_v2_lr_mse_20" / "portrait00" / "exp.npy")
    assert codes.shape == (50,)
    small = "--image_size 64 --latent_dim 64 --encoder_type resnet18"
    for encoder in ("DECA", "EMOCA"):
        run(tmp_path, f"python scripts/create_data.py --data_dir aligned --output_dir store_{encoder} --image_size 64 "
                      f"--use_meanshape True --use_model {encoder}", standin_folder)
        header = StoreReader(tmp_path / f"store_{encoder}").header
        assert (header["head"], header["encoder"]) == ("flame-2020", encoder)
    run(tmp_path, f"mpiexec -n 1 python scripts/train.py {small} --log_dir log/stage1 --data_dir store_EMOCA --lr 1e-4 "
                  "--p2_weight True --batch_size 2 --max_steps 2 --num_workers 2 --save_interval 5000 --stage 1", standin_folder)
    run(tmp_path, f"mpiexec -n 1 python scripts/train.py {small} --log_dir log/stage2 --resume_checkpoint "
                  "log/stage1/model000002.pt --data_dir store_EMOCA --lr 1e-5 --p2_weight True --batch_size 2 "
                  "--max_steps 2 --num_workers 2 --save_interval 5000 --stage 2", standin_folder)
    for source, target in (("DECA", "EMOCA"), ("EMOCA", "DECA"), ("FIT", "SMIRK")):
        out = f"out_{source}_{target}"
        run(tmp_path, f"python scripts/inference.py --source aligned/portrait.png --target aligned/portrait.png --output_dir {out} "
                      "--modes pose,exp,light --model_path log/stage2/model000002.pt --meanshape "
                      "store_EMOCA/mean_shape.pkl --timestep_respacing ddim2 "
                      f"--source_model {source} --target_model {target}", standin_folder)
        assert {path.name for path in (tmp_path / out).glob("?_*.png")} == {"0_pose.png", "1_exp.png", "2_light.png"}
        assert json.loads((tmp_path / out / "report.json").read_text())["request"]["encoders"] == [source, target]
    words = run(tmp_path, "python scripts/inference.py --source aligned/portrait.png --target aligned/portrait.png --output_dir no "
                          "--source_model DECA --target_model EMOCA --timestep_respacing ddim2", standin_folder, status=2)
    assert "makes codes of the head model flame-2020, not of open-head-1" in words
