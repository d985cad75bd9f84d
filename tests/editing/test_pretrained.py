import io
import pickle

import numpy as np
import pytest
import torch
from seed_faces import MODEL

from diffusionrig.editing.pretrained import checkpoint_path, load_pretrained, read_mean_shape
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint


class Creator:
    """Creates a file when unpickled the careless way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_published_mean_shape_is_read_and_its_successor_found(tmp_path):
    shape = torch.arange(100.0)[None]
    with open(tmp_path / "mean_shape.pkl", "wb") as file:
        pickle.dump(shape, file)
    torch.testing.assert_close(read_mean_shape(tmp_path / "mean_shape.pkl", 100), shape)
    (tmp_path / "new").mkdir()
    np.save(tmp_path / "new" / "mean_shape.npy", 2 * shape.numpy())
    torch.testing.assert_close(read_mean_shape(tmp_path / "new" / "mean_shape.pkl", 100), 2 * shape)
    with pytest.raises(UsageError, match="100 shape coefficients"):
        read_mean_shape(tmp_path / "mean_shape.pkl", 300)
    with pytest.raises(UsageError, match="There is no mean shape"):
        read_mean_shape(tmp_path / "wrong.pkl", 100)


@pytest.mark.parametrize("name", ["mean_shape.pkl", "model.pt", "model.safetensors"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path, name):
    harm = tmp_path / "harm"
    (tmp_path / name).write_bytes(pickle.dumps(Creator(harm)))
    read = (lambda path: read_mean_shape(path, 100)) if name == "mean_shape.pkl" else load_pretrained
    with pytest.raises(RigError) as refusal:
        read(tmp_path / name)
    assert name in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert not harm.exists()


def test_a_torch_file_that_would_run_code_is_refused(tmp_path):
    harm, buffer = tmp_path / "harm", io.BytesIO()
    torch.save({"weight": Creator(harm)}, buffer)
    (tmp_path / "model.pt").write_bytes(buffer.getvalue())
    with pytest.raises(RigError, match=r"model\.pt"):
        load_pretrained(tmp_path / "model.pt")
    assert not harm.exists()


def test_paths_that_lead_nowhere_are_named(tmp_path):
    with pytest.raises(UsageError, match="There is no model at"):
        checkpoint_path(tmp_path / "none.safetensors")
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(UsageError, match="neither a"):
        load_pretrained(tmp_path / "model.txt")


def test_the_head_is_the_models_own_else_the_one_asked_for_else_the_encoders(checkpoint, tmp_path):
    tensors, meta = load_checkpoint(checkpoint)
    assert load_pretrained(checkpoint, usual_head="flame-2020").head == meta["head"]["name"] == "open-head-1"
    with pytest.raises(UsageError, match="was trained on the head open-head-1, not on flame-2020; leave --head out"):
        load_pretrained(checkpoint, head="flame-2020")
    export_legacy(tmp_path / "model000001.pt", tensors)
    for asked, usual, expected in (("", "flame-2020", "flame-2020"), ("open-head-1", "flame-2020", "open-head-1")):
        assert load_pretrained(tmp_path / "model000001.pt", model=MODEL, head=asked, usual_head=usual).head == expected
