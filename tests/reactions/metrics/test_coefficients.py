import dataclasses

import numpy as np
import pytest
import torch

from diffusionrig.cli import main
from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.arrays import write_npy
from diffusionrig.io.checkpoints import export_legacy, load_checkpoint, save_checkpoint
from diffusionrig.io.files import read_json
from diffusionrig.reactions.coefficients.applying import coefficients_of
from diffusionrig.reactions.coefficients.fitting import MODEL, REPORT, Options, train
from diffusionrig.reactions.coefficients.network import fresh, load_network
from diffusionrig.reactions.corpus import Corpus

CPU = torch.device("cpu")


def by_gates(weights, x):
    """One bidirectional layer, gate by gate, from the published equations of the LSTM."""
    sides = []
    for suffix, order in (("", range(len(x))), ("_reverse", range(len(x) - 1, -1, -1))):
        w, u = weights[f"weight_ih{suffix}"], weights[f"weight_hh{suffix}"]
        bias = weights[f"bias_ih{suffix}"] + weights[f"bias_hh{suffix}"]
        h = c = np.zeros(u.shape[1])
        out = np.zeros((len(x), u.shape[1]))
        for t in order:
            i, f, g, o = np.split(w @ x[t] + u @ h + bias, 4)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
            out[t] = h
        sides.append(out)
    return np.concatenate(sides, 1)


def test_it_is_the_published_network():
    network = fresh(0).double()
    assert sum(p.numel() for p in network.parameters()) == 568_890
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    x = np.random.default_rng(0).standard_normal((9, 25))
    hidden = x
    for layer in range(2):
        weights = {name.removeprefix("lstm.").replace(f"_l{layer}", ""): w for name, w in state.items() if f"_l{layer}" in name}
        hidden = by_gates(weights, hidden)
    with torch.no_grad():
        found = network(torch.from_numpy(x)[None])[0].numpy()
    np.testing.assert_allclose(found, hidden @ state["fc.weight"].T + state["fc.bias"], atol=1e-12)


def test_frames_know_of_one_another_and_samples_do_not():
    """The published test made a batch of frames out of a clip, so that no frame knew of any other."""
    emotion = np.random.default_rng(0).random((2, 30, 25)).astype(np.float32)
    changed = emotion.copy()
    changed[0, 12] = 0
    before, after = (coefficients_of(fresh(1), one, CPU) for one in (emotion, changed))
    assert (before[0, 11] != after[0, 11]).any()
    assert (before[0, 13] != after[0, 13]).any()
    np.testing.assert_array_equal(before[1], after[1])


def test_a_published_file_is_read_whatever_its_modules_are_called(tmp_path):
    network = fresh(4)
    names = {name: name.replace("lstm.", "module.rnn.").replace("fc.", "module.output_layer.") for name in network.state_dict()}
    export_legacy(tmp_path / "lstm_model_200.pth", {names[name]: tensor for name, tensor in network.state_dict().items()})
    loaded, meta = load_network(tmp_path / "lstm_model_200.pth")
    assert meta == {}
    x = torch.rand(1, 8, 25)
    with torch.no_grad():
        torch.testing.assert_close(loaded(x), network(x), rtol=0, atol=0)


def test_another_network_is_refused(tmp_path):
    save_checkpoint(tmp_path / "wide.safetensors", torch.nn.Linear(25, 58).state_dict(), {})
    with pytest.raises(RigError, match="instead of"):
        load_network(tmp_path / "wide.safetensors")


def test_training_learns_and_continues_to_the_bit(corpus, tmp_path):
    short = Corpus.open(corpus.root, 32)
    training, validation = short.split("train"), short.split("val")
    options = Options(epochs=11, batch_size=8, lr=1e-2)
    whole = train(training, validation, options, tmp_path / "whole", CPU)
    train(training, validation, dataclasses.replace(options, epochs=10), tmp_path / "parts", CPU)
    parts = train(training, validation, options, tmp_path / "parts", CPU)
    assert whole["losses"] == parts["losses"]
    assert whole["losses"][-1] < 0.3 * whole["losses"][0]
    first, second = (load_checkpoint(tmp_path / name / MODEL)[0] for name in ("whole", "parts"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert read_json(tmp_path / "whole" / REPORT)["parameters"] == 568_890
    with pytest.raises(UsageError, match="holds a run with seed 0, not 1"):
        train(training, validation, dataclasses.replace(options, seed=1), tmp_path / "parts", CPU)


def test_the_command_writes_coefficients_beside_predictions(tmp_path, capsys):
    save_checkpoint(tmp_path / "m.safetensors", fresh(0).state_dict(), {"kind": "attributes to coefficients"})
    emotion = np.random.default_rng(0).random((3, 2, 20, 25)).astype(np.float32)
    write_npy(tmp_path / "p.npy", emotion)
    words = ["react", "coefficients", "predict", str(tmp_path / "p.npy"), "--model", str(tmp_path / "m.safetensors"),
             "--device", "cpu"]
    assert main(words) == 0
    made = np.load(tmp_path / "p_3dmm.npy")
    assert made.shape == (3, 2, 20, 58)
    np.testing.assert_array_equal(made[1], coefficients_of(fresh(0), emotion[1], CPU))
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    emotion[2, 1, 5, 3] = np.nan
    write_npy(tmp_path / "q.npy", emotion)
    assert main([*words[:3], str(tmp_path / "q.npy"), *words[4:]]) == 1
    assert "Item 2 of" in capsys.readouterr().err
    assert not list(tmp_path.glob("*q_3dmm*"))
