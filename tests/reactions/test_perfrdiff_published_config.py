"""PerFRDiff's own configuration, translated."""

import pytest

from diffusionrig.errors import UsageError
from diffusionrig.reactions.generators.perfrdiff.published_config import is_published, translated

TREE = {
    "latent_embedder": {"args": {"window_size": 50, "hidden_dim": 512, "z_dim": 512, "emb_dims": [128, 128]}},
    "person_specific": {"args": {"embed_dim": 512, "num_layers": 4, "num_heads": 4, "mlp_dim": 1024, "proj_dim": 512,
                                 "drop_prob": 0.1}},
    "diffusion_prior": {"args": {"depth": 4, "heads": 8, "dim_head": 64, "guidance_scale": 1.0}},
    "diffusion_decoder": {
        "args": {"latent_dim": 512, "num_layers": 7, "num_heads": 4, "ff_size": 1024, "dropout": 0.1, "guidance_scale": 7.5,
                 "use_past_frames": False, "s_audio_enc_drop_prob": 0.2, "s_3dmm_enc_drop_prob": 0.2,
                 "s_emotion_enc_drop_prob": 1.0,
                 "s_latent_embed_drop_prob": 0.2, "l_latent_embed_drop_prob": 1.0, "past_l_emotion_drop_prob": 1.0},
        "scheduler": {"num_inference_timesteps": 50}},
    "trainer": {"seed": 1234, "epochs": 500}, "dataset": {"batch_size": 4, "k_appro": 10},
    "optimizer": {"args": {"lr": 0.0001, "weight_decay": "1e-4"}}}
MAIN = {"args": {"latent_dim": 1024, "num_shared_layers": 2, "regularization": False, "regular_w": 0.0, "modified_layers": [
    "diffusion_decoder.model.decoder.layers.4.multihead_attn", "diffusion_decoder.model.to_emotion_feat"]}}


def test_a_drop_probability_of_one_means_that_the_token_does_not_exist():
    assert is_published(TREE)
    sections = translated(TREE, 3186, "x.yaml")
    assert sections["generator"]["conditions"] == "audio,face,latent"
    assert (sections["generator"]["drop"], sections["generator"]["appropriate"]) == (0.2, 10)
    assert sections["generator_train"] == {"batch_size": 4, "max_steps": 398250, "grad_clip": 0.0, "seed": 1234, "lr": 1e-4,
                                           "weight_decay": 1e-4}
    assert "personal" not in sections


def test_edited_layers_are_named_and_others_refused():
    sections = translated({**TREE, "main_model": MAIN}, 3186, "x.yaml")
    assert sections["personal"] == {"hidden": 1024, "shared": 2, "penalty": 0.0, "edited": "4.cross,output"}
    wrong = {"args": {**MAIN["args"], "modified_layers": ["diffusion_decoder.model.decoder.layers.4.linear1"]}}
    with pytest.raises(UsageError, match=r"names diffusion_decoder.model.decoder.layers.4.linear1, but only cross-attentions"):
        translated({**TREE, "main_model": wrong}, 3186, "x.yaml")


def test_what_is_absent_is_named():
    with pytest.raises(UsageError, match=r"x\.yaml lacks a setting of PerFRDiff's configuration \('latent_embedder'\)"):
        translated({name: section for name, section in TREE.items() if name != "latent_embedder"}, 3186, "x.yaml")
