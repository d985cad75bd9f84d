import pytest
import torch
from training.tiny import write_store

from diffusionrig.cli import run_command
from diffusionrig.editing.pretrained import load_pretrained
from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint, save_checkpoint, save_state
from diffusionrig.training.options import TrainOptions
from diffusionrig.training.run_folder import RunFolder, step_in_name
from diffusionrig.training.start import find_start


def options(folder, **more):
    return TrainOptions(data_dir="store", log_dir=str(folder), **more)


def leave(folder, step, stage=1, state=True, tag=0.0):
    """What a run leaves behind at a save."""
    folder.mkdir(exist_ok=True)
    meta = {"stage": stage, "step": step, "mark": tag}
    save_checkpoint(RunFolder(folder).model(step), {"w": torch.tensor([tag])}, meta)
    if state:
        save_state(RunFolder(folder).state(step), {"format": 1, "step": step, "model": {"w": torch.tensor([tag])}, "meta": meta})
    return str(RunFolder(folder).model(step))


@pytest.mark.parametrize(("path", "step"), [
    ("log/model000500.pt", 500), ("model_dir/model12.safetensors", 12), ("ema_0.9999.pt", 0), ("model/best.pt", 0),
    ("model1234567.pt", 1234567)])
def test_the_step_is_read_from_the_name(path, step):
    assert step_in_name(path) == step


def test_a_new_run_starts_from_nothing(tmp_path):
    start = find_start(options(tmp_path / "run"))
    assert (start.tensors, start.state, start.step, start.source) == (None, None, 0, "")


def test_the_newest_state_of_the_folder_wins_over_a_checkpoint_elsewhere(tmp_path):
    other = leave(tmp_path / "other", 7, tag=7.0)
    leave(tmp_path / "run", 1, tag=1.0)
    leave(tmp_path / "run", 10, tag=10.0)
    start = find_start(options(tmp_path / "run", resume_checkpoint=other))
    assert (start.step, start.meta["mark"]) == (10, 10.0)


def test_stage_1_continues_a_checkpoint_elsewhere_with_its_state_or_its_step(tmp_path):
    whole, bare = leave(tmp_path / "whole", 7), leave(tmp_path / "bare", 9, state=False)
    assert find_start(options(tmp_path / "run", resume_checkpoint=whole)).state is not None
    start = find_start(options(tmp_path / "run", resume_checkpoint=bare))
    assert (start.state, start.step) == (None, 9)


def test_stage_2_takes_stage_1_weights_from_step_0_and_its_own_with_their_state(tmp_path):
    first, second = leave(tmp_path / "first", 7, stage=1), leave(tmp_path / "second", 5, stage=2)
    start = find_start(options(tmp_path / "run", stage=2, resume_checkpoint=first))
    assert (start.step, start.state) == (0, None)
    assert start.tensors is not None
    assert find_start(options(tmp_path / "run", stage=2, resume_checkpoint=second)).step == 5


def test_a_checkpoint_inside_the_folder_goes_back(tmp_path):
    leave(tmp_path / "run", 10)
    early = leave(tmp_path / "run", 5)
    start = find_start(options(tmp_path / "run", resume_checkpoint=early))
    assert (start.step, start.go_back) == (5, True)


def test_the_published_name_of_a_model_stands_for_ours_and_is_said(tmp_path):
    found = leave(tmp_path / "first", 50000, tag=3.0)
    named = found.replace(".safetensors", ".pt")
    start = find_start(options(tmp_path / "run", stage=2, resume_checkpoint=named))
    assert (start.source, start.meta["mark"]) == (found, 3.0)
    assert start.note == f"{named} is not there; model050000.safetensors beside it is taken."
    # Stage 1 goes on from the state that stands beside it.
    assert find_start(options(tmp_path / "run", resume_checkpoint=named)).step == 50000
    assert find_start(options(tmp_path / "run", stage=2, resume_checkpoint=found)).note == ""
    with pytest.raises(UsageError, match=r"no checkpoint at .*model000007\.pt; .* holds model050000\.safetensors, so name"):
        find_start(options(tmp_path / "run", stage=2, resume_checkpoint=str(tmp_path / "first" / "model000007.pt")))


@pytest.mark.parametrize("kind", ["ours", "published"])
def test_the_published_lines_of_both_stages_in_a_row(kind, tmp_path, capsys):
    """As written in the README, but small: what stage 1 left is named in ``.pt``, and stage 2 repeats or leaves out the network."""
    store = write_store(tmp_path / "faces", size=64)
    small = ["--image_size", "64", "--num_channels", "32", "--num_res_blocks", "1", "--batch_size", "2", "--max_steps", "1",
             "--sample_count", "0", "--metric_count", "0", "--device", "cpu", "--p2_weight", "True", "--data_dir", str(store)]
    first = [*small, "--latent_dim", "8", "--encoder_type", "resnet18", "--log_dir", str(tmp_path / "stage1"), "--stage", "1"]
    assert run_command("train", first, "scripts/train.py") == 0
    if kind == "published":
        tensors, _ = load_checkpoint(tmp_path / "stage1" / "model000001.safetensors")
        for path in (tmp_path / "stage1").iterdir():
            path.unlink()
        export_legacy(tmp_path / "stage1" / "model000001.pt", {n: tensor for n, tensor in tensors.items() if n != "mean_shape"})
    assert not [path for path in (tmp_path / "stage1").glob("model*.pt") if kind == "ours"]
    capsys.readouterr()
    resume = ["--stage", "2", "--resume_checkpoint", str(tmp_path / "stage1" / "model000001.pt"), "--consent", "She agreed."]
    # The flags that shape the network are left out: the checkpoint knows them.
    assert run_command("train", [*small[6:], *resume, "--log_dir", str(tmp_path / "stage2")], "scripts/train.py") == 0
    assert ("model000001.safetensors beside it is taken" in capsys.readouterr().err) == (kind == "ours")
    settings = load_checkpoint(tmp_path / "stage2" / "model000001.safetensors")[1]["model"]
    assert (settings["image_size"], settings["num_channels"], settings["num_res_blocks"], settings["latent_dim"]) == (64, 32, 1, 8)
    wrong = [*small, *resume, "--latent_dim", "16", "--log_dir", str(tmp_path / "wrong")]
    assert run_command("train", wrong, "scripts/train.py") == 2
    assert "latent_dim 8" in (said := capsys.readouterr().err) or "--latent_dim 16 contradicts" in said
    # ... and so does what draws with it.
    loaded = load_pretrained(tmp_path / "stage2" / "model000001.pt")
    assert (loaded.model.latent_dim, loaded.meta["stage"]) == (8, 2)


def test_models_without_a_state_are_not_written_over(tmp_path):
    leave(tmp_path / "run", 5, state=False)
    with pytest.raises(UsageError, match="but no training state"):
        find_start(options(tmp_path / "run"))


def test_old_states_go_and_models_stay(tmp_path):
    for step in (1, 2, 3):
        leave(tmp_path / "run", step)
    folder = RunFolder(tmp_path / "run")
    folder.prune_states(2)
    assert (list(folder.found("state")), list(folder.found("model"))) == ([2, 3], [1, 2, 3])
