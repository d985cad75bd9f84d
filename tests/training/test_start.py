import pytest
import torch

from diffusionrig.errors import UsageError
from diffusionrig.io.checkpoints import save_checkpoint, save_state
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
