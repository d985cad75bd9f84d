"""Runs of the command that train adapters."""

import base64
import io
import sys

import pytest
import torch
from training.tiny import SMALL, lone_world, tiny_network, tiny_trainer, write_store

from diffusionrig.cli import main
from diffusionrig.io.checkpoints import load_checkpoint, load_released, load_state
from diffusionrig.io.files import sha256_of
from diffusionrig.io.images import decode_image
from diffusionrig.model.adapters import AdapterConfig, adapter_part, add_adapters, merged


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "faces", use_meanshape=True, mean_shape=[0.1, 0.2, 0.3, 0.4])


@pytest.fixture(scope="module")
def prior(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prior")
    assert main(["train", *SMALL, "--data_dir", str(store), "--log_dir", str(folder), "--max_steps", "1"]) == 0
    return folder / "model000001.safetensors"


def personalise(store, folder, *flags):
    return main(["train", "--stage", "2", "--data_dir", str(store), "--log_dir", str(folder), "--batch_size", "2",
                 "--num_workers", "1", "--device", "cpu", "--log_interval", "1", "--sample_count", "0", "--metric_count", "0",
                 *map(str, flags)])


LORA = ["--adapter", "lora", "--rank", "2", "--lr", "1e-2", "--ema_decay", "0.5"]


@pytest.fixture(scope="module")
def run(store, prior, tmp_path_factory):
    """Four updates of an adapter, saved at 2 and 4, with samples."""
    folder = tmp_path_factory.mktemp("run") / "run"
    assert personalise(store, folder, *LORA, "--resume_checkpoint", prior, "--max_steps", 4, "--save_interval", 2,
                       "--export_pt", True, "--sample_count", 2, "--consent", "She agreed in writing.") == 0
    return folder


def test_the_file_holds_the_adapters_alone_and_says_where_they_belong(run, prior):
    tensors, meta = load_checkpoint(run / "model000004.safetensors", dtype=None)
    mean_shape = tensors.pop("mean_shape")
    assert mean_shape[0].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert tensors.keys() == adapter_part(tensors).keys()
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert meta["kind"] == "adapter"
    assert meta["adapter"] == {"rank": 2, "alpha": 2.0, "layers": "conv,attention,linear"}
    assert meta["base"] == {"name": prior.name, "hash": sha256_of(prior), "bytes": prior.stat().st_size, "path": str(prior)}
    assert (meta["stage"], meta["step"], meta["consent"], meta["weights"]) == (2, 4, "She agreed in writing.", "ema")
    assert meta["head"]["name"] == "toy-head"
    assert decode_image(base64.b64decode(meta["preview"])).shape == (16, 16, 3)
    assert (run / "model000004.safetensors").stat().st_size < prior.stat().st_size / 20


def test_the_exported_file_is_the_base_with_the_averaged_adapters_merged_in(run, prior):
    state = load_state(run / "state000004.pt")
    base, exported = load_checkpoint(prior)[0], load_released(run / "model000004.pt")
    del base["mean_shape"]
    assert exported.keys() == base.keys()
    expected = merged({**base, **adapter_part(state["ema"])}, AdapterConfig(2, 2.0))
    assert all(torch.equal(exported[name], expected[name]) for name in base)
    changed = {name for name in base if not torch.equal(exported[name], base[name])}
    assert changed == {f"{name.rpartition('.')[0]}.weight" for name in adapter_part(state["ema"])}
    frozen = [name for name in base if name in state["model"]]
    assert all(torch.equal(state["model"][name], base[name]) for name in frozen)
    assert state["optimizer"].keys() == adapter_part(state["model"]).keys()


def test_a_continued_run_is_the_same_bit_for_bit(run, store, prior, tmp_path):
    flags = [*LORA, "--resume_checkpoint", prior, "--save_interval", 2]
    assert personalise(store, tmp_path / "run", *flags, "--max_steps", 2, "--consent", "Yes.") == 0
    # A run knows its base: the file may be gone by now.
    assert personalise(store, tmp_path / "run", *LORA, "--save_interval", 2, "--max_steps", 4) == 0
    (whole, told), (parts, meta) = (load_checkpoint(path / "model000004.safetensors") for path in (run, tmp_path / "run"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert meta["base"] == told["base"]
    assert meta["consent"] == "Yes."


def test_the_log_has_the_colours_and_the_warning_what_to_do(run):
    text = (run / "log.txt").read_text()
    assert "colour_drift" in text
    header = (run / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"colour_drift", "contrast", "colour_mean_L", "colour_std_b"} <= set(header)
    # Four updates of a new network draw no faces, and the log says so.
    assert "look at the samples, train longer or with a lower --lr" in text


def test_requests_that_do_not_fit(run, store, prior, tmp_path, capsys):
    def refused(folder, *flags):
        assert personalise(store, folder, *flags) == 2
        text = capsys.readouterr().err.strip()
        assert "\n" not in text
        return text

    assert "name its weights by --resume_checkpoint" in refused(tmp_path / "a", *LORA)
    wrong = refused(run, "--adapter", "lora", "--rank", 4)
    assert "a run with --adapter lora --rank 2 --alpha 2" in wrong
    assert "but --adapter lora --rank 4 --alpha 4" in wrong
    assert "but --adapter none was asked for" in refused(run)
    (tmp_path / "alone").mkdir()
    lone = tmp_path / "alone" / "model000004.safetensors"
    lone.write_bytes((run / "model000004.safetensors").read_bytes())
    assert f"start from its base model {prior.name}" in refused(tmp_path / "b", *LORA, "--resume_checkpoint", lone)
    assert "belong to --stage 2" in refused(tmp_path / "c", "--stage", 1, "--adapter", "lora")
    assert "--adapter dora does not exist; choose from none, lora" in refused(tmp_path / "d", "--adapter", "dora")
    assert "--rank must be 1 or more" in refused(tmp_path / "e", "--adapter", "lora", "--rank", 0, "--resume_checkpoint", prior)
    assert "neither a number of photographs nor a share" in refused(tmp_path / "f", "--holdout", 1.5)


@pytest.mark.parametrize(("answer", "recorded"), [("She said yes.", "She said yes."), ("", "not stated")])
def test_consent_is_asked_for_on_a_terminal(store, prior, tmp_path, monkeypatch, capsys, answer, recorded):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def attempt(typed, steps):
        error = Terminal()
        monkeypatch.setattr(sys, "stdin", Terminal(typed + "\n"))
        monkeypatch.setattr(sys, "stderr", error)
        assert personalise(store, tmp_path / "run", *LORA, "--resume_checkpoint", prior, "--max_steps", steps) == 0
        said = load_checkpoint(tmp_path / "run" / f"model00000{steps}.safetensors")[1]["consent"]
        return "In what words did they?" in error.getvalue(), said

    assert attempt(answer, 1) == (True, recorded)
    # Asked once; whoever did not answer is asked again.
    assert attempt("Later she did.", 2) == ((False, recorded) if answer else (True, "Later she did."))


def test_consent_of_other_weights_counts_for_nothing(store, prior, tmp_path):
    assert personalise(store, tmp_path / "first", "--resume_checkpoint", prior, "--max_steps", 1,
                       "--consent", "His.") == 0
    (tmp_path / "first" / "state000001.pt").unlink()
    assert personalise(store, tmp_path / "second", "--resume_checkpoint", tmp_path / "first" / "model000001.safetensors",
                       "--max_steps", 1) == 0
    assert load_checkpoint(tmp_path / "second" / "model000001.safetensors")[1]["consent"] == "not stated"


def test_adapters_learn(store):
    network = tiny_network(0.0)
    add_adapters(network, AdapterConfig(rank=4))
    trainer = tiny_trainer(store, lone_world(), network, stage=2, adapter="lora", batch_size=8, lr=1e-2)
    losses = [trainer.update().loss for _ in range(30)]
    trainer.close()
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


@pytest.mark.slow
def test_a_compiled_adapted_network_trains_alike(store):
    losses = []
    for compiled in (False, True):
        network = tiny_network(0.0)
        add_adapters(network, AdapterConfig(rank=2))
        trainer = tiny_trainer(store, lone_world(), network, stage=2, adapter="lora", compile=compiled)
        losses.append([trainer.update().loss for _ in range(3)])
        trainer.close()
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
