"""The published predictor: masks that stay with their rows, and released checkpoints by name and shape."""

import pytest
import torch
from faceais_small import PREDICTOR, TOKENIZER, generator, tokenizer

from diffusionrig.devices import resolve_device
from diffusionrig.errors import RigError
from diffusionrig.reactions.generators.faceais.generating import load_faceais
from diffusionrig.reactions.generators.faceais.published import PublishedPredictor, key_bias, left_padded
from diffusionrig.reactions.generators.faceais.released import write_released, write_released_tokenizer
from diffusionrig.reactions.generators.faceais.settings import PredictorSettings, TokenizerSettings
from diffusionrig.reactions.generators.faceais.tokenizer_task import load_tokenizer


def inputs(batch, context, seed=0):
    random = torch.Generator().manual_seed(seed)
    face, past = (torch.randint(2, 1002, (batch, context), generator=random) for _ in range(2))
    return face, torch.randn(batch, context, 26, generator=random), past


def test_padding_one_row_leaves_the_others_alone():
    predictor = generator(compat=True).predictor
    face, sound, past = inputs(3, 24)
    seen = torch.ones(3, 24, dtype=torch.bool)
    whole = predictor(past, seen, predictor.speaker(face, sound, seen), seen)
    seen[1, :15] = False
    padded = predictor(past, seen, predictor.speaker(face, sound, seen), seen)
    torch.testing.assert_close(padded[[0, 2]], whole[[0, 2]], rtol=0, atol=1e-5)
    assert not torch.allclose(padded[1], whole[1])
    other = torch.where(seen, face, (face + 3) % 1000)
    again = predictor(past, seen, predictor.speaker(other, sound, seen), seen)
    torch.testing.assert_close(again[1, 15:], padded[1, 15:], rtol=0, atol=1e-5)


def test_attention_is_even_where_nothing_may_be_seen():
    bias = key_bias(torch.tensor([[False] * 4, [False, False, True, True]]))
    weights = (torch.tensor([3.0, -1.0, 0.5, 2.0]) + bias).softmax(-1)[:, 0, 0]
    assert weights[0].tolist() == [0.25] * 4
    assert weights[1, :2].tolist() == [0.0, 0.0]
    assert float(weights[1].sum()) == pytest.approx(1.0)


def test_left_padding():
    stream = torch.arange(1, 6)[None]
    padded, real = left_padded(stream, 7)
    assert padded.tolist() == [[0, 0, 1, 2, 3, 4, 5]]
    assert real.tolist() == [[False] * 2 + [True] * 5]
    assert left_padded(stream, 3)[0].tolist() == [[3, 4, 5]]


def test_one_stream_and_its_dead_parameters():
    predictor = generator(compat=True).predictor
    still = {name for name, parameter in predictor.named_parameters() if not parameter.requires_grad}
    assert {name.rpartition(".")[0] for name in still} == {"sp_cm_transformer.wte_sound", "sp_cm_transformer.ln_f"}
    face, sound, past = inputs(1, 24)
    seen = torch.ones(1, 24, dtype=torch.bool)
    predictor.train()
    predictor(past, seen, predictor.speaker(face, sound, seen), seen).sum().backward()
    assert all(parameter.grad is not None for parameter in predictor.parameters() if parameter.requires_grad)


@pytest.fixture
def released(tmp_path):
    """Checkpoints as Lightning writes them, of small networks; and their tokenizer and predictor."""
    settings = PredictorSettings(**{**PREDICTOR, "compat": True, "vocabulary": 1024})
    faces, predictor = tokenizer(), PublishedPredictor(settings, 1000, seed=4)
    tokens = {f"model.{name}": tensor for name, tensor in faces.state_dict().items()}
    torch.save({"state_dict": tokens, "epoch": 3, "lr_schedulers": [{"best": 0.1}]}, tmp_path / "tokenizer.ckpt")
    torch.save({"state_dict": {**{f"model.{name}": tensor for name, tensor in predictor.state_dict().items()},
                               **{f"face_tokenizer.{name}": tensor for name, tensor in tokens.items()},
                               "sound_feature_extractor.model.x": torch.zeros(2)}}, tmp_path / "predictor.ckpt")
    return tmp_path, settings, faces, predictor


def test_released_checkpoints_become_one_model(released):
    folder, settings, faces, predictor = released
    write_released(folder / "predictor.ckpt", folder / "tokenizer.ckpt", TokenizerSettings(**TOKENIZER), settings, torch.ones(58),
                   folder / "model000000.safetensors")
    made = load_faceais(folder / "model000000.safetensors", resolve_device("cpu"))
    assert torch.equal(made.predictor.lm_head.weight, predictor.lm_head.weight)
    assert torch.equal(made.tokenizer.lm_head_3dmm.weight, faces.lm_head_3dmm.weight)
    assert made.predictor.lm_head.weight.shape[0] == 1026
    write_released_tokenizer(folder / "tokenizer.ckpt", TokenizerSettings(**TOKENIZER), folder / "t.safetensors")
    assert load_tokenizer(folder / "t.safetensors")[0].settings == TokenizerSettings(**TOKENIZER)


@pytest.mark.parametrize(("fault", "sentence"), [("foreign", "of no part of FaceAIS"), ("missing", "does not fit the network"),
                                                 ("shape", "does not fit the network"), ("other", "another face tokenizer"),
                                                 ("empty", "no state_dict")])
def test_checkpoints_that_do_not_fit_are_refused(released, fault, sentence):
    folder, settings, _, _ = released
    whole = torch.load(folder / "predictor.ckpt", weights_only=True)
    tensors = whole["state_dict"]
    if fault == "foreign":
        tensors["render.weight"] = torch.zeros(1)
    elif fault == "missing":
        del tensors["model.lm_head.weight"]
    elif fault == "shape":
        tensors["model.lm_head.weight"] = tensors["model.lm_head.weight"][:-1]
    elif fault == "other":
        tensors["face_tokenizer.model.lm_head_3dmm.weight"] = tensors["face_tokenizer.model.lm_head_3dmm.weight"] + 1
    else:
        whole = {"epoch": 3}
    torch.save(whole, folder / "predictor.ckpt")
    with pytest.raises(RigError, match=sentence):
        write_released(folder / "predictor.ckpt", folder / "tokenizer.ckpt", TokenizerSettings(**TOKENIZER), settings,
                       torch.ones(58), folder / "model.safetensors")
    assert not (folder / "model.safetensors").exists()


def test_published_names():
    """A sample of the names that the published modules give, so that a renaming here is noticed."""
    names = set(generator(compat=True).predictor.state_dict()) | set(tokenizer().state_dict())
    assert {"sp_cm_transformer.wpw_face.weight", "sp_cm_transformer.h.0.gated_alpha", "lm_head.weight", "encoder.wfe.bias",
            "sp_cm_transformer.h.1.attn_cross.y_c_attn.bias", "wav2vec2_c_proj.weight", "lt_cm_transformer.h.0.ln_3.bias",
            "lt_cm_transformer.h_speaker.0.attn.c_attn.weight", "lt_cm_transformer.ln_f.weight", "encoder.h.0.mlp.c_fc.weight",
            "quantize.quantize.project_in.weight", "decoder_to_3dmm.wpe.weight", "decoder_to_emotion.ln_f.weight",
            "lm_head_emotion.weight"} <= names
