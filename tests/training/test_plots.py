import numpy as np

from diffusionrig.cli import main
from diffusionrig.io.images import read_image
from diffusionrig.training.plots import series, smoothed


def test_of_a_step_logged_twice_the_later_row_counts():
    rows = [{"step": "1", "loss": "5"}, {"step": "3", "loss": "9"}, {"step": "2", "loss": "4"}, {"step": "3", "loss": "3"},
            {"step": "4", "loss": ""}, {"step": "5", "loss": "nan"}, {"step": "6"}]
    steps, values = series(rows, "loss")
    assert steps.tolist() == [1, 2, 3]
    assert values.tolist() == [5, 4, 3]
    assert len(series(rows, "lr")[0]) == 0


def test_smoothing_keeps_lines_and_removes_noise():
    line = np.linspace(2.0, 5.0, 600)
    np.testing.assert_allclose(smoothed(line), line, rtol=1e-12)
    noise = np.random.default_rng(0).normal(size=600)
    assert smoothed(line + noise)[20:-20].std() < 0.35 * (line + noise).std() + line.std()
    assert np.abs(smoothed(noise)[20:-20]).max() < 1
    assert smoothed(np.array([7.0])).tolist() == [7.0]


def test_the_command_draws_a_published_log(tmp_path, capsys):
    (tmp_path / "progress.csv").write_text(
        "loss,mse,samples,step,time elapsed\n" + "".join(f"{1 / n},{1 / n},{n * 8},{n},0:00:0{n % 10}\n" for n in range(1, 50)))
    assert main(["plot", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"Curves: {tmp_path / 'training.png'}\n"
    alone = read_image(tmp_path / "training.png")
    (tmp_path / "metrics.csv").write_text("step,face_psnr,held_out_loss\n10,20.5,0.3\n40,22.5,0.2\n50,23")
    assert main(["plot", str(tmp_path / "progress.csv"), "-o", str(tmp_path / "more.png")]) == 0
    more = read_image(tmp_path / "more.png")
    assert more.shape == alone.shape
    assert (more != alone).any()


def test_folders_without_a_log(tmp_path, capsys):
    assert main(["plot", str(tmp_path)]) == 2
    assert f"There is no progress.csv at {tmp_path}; name the --log_dir" in capsys.readouterr().err
    (tmp_path / "progress.csv").write_text("name,age\nx,3\n")
    assert main(["plot", str(tmp_path)]) == 2
    assert "logs no loss over steps" in capsys.readouterr().err
    (tmp_path / "progress.csv").write_bytes(b"\xff\xfe\x00")
    assert main(["plot", str(tmp_path)]) == 1
    assert "cannot be read" in capsys.readouterr().err
