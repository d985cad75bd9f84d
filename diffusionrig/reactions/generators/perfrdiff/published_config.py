"""PerFRDiff's own configuration files (``diffusion_model.yaml``, ``rewrite_weight.yaml``) as sections of this program's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusionrig.errors import UsageError

Tree = dict[str, dict[str, Any]]
_DROPS = {"audio": "s_audio_enc_drop_prob", "face": "s_3dmm_enc_drop_prob", "emotion": "s_emotion_enc_drop_prob",
          "latent": "s_latent_embed_drop_prob", "prior": "l_latent_embed_drop_prob", "past": "past_l_emotion_drop_prob"}
_CROSS, _OUTPUT = "diffusion_decoder.model.decoder.layers.", "diffusion_decoder.model.to_emotion_feat"


def is_published(tree: Mapping[str, Any]) -> bool:
    """Whether a configuration has the published sections."""
    return "diffusion_decoder" in tree and "trainer" in tree


def translated(tree: Mapping[str, Any], items: int, source: str) -> Tree:
    """Sections ``system``, ``data``, and of every phase, for a training split of ``items``; UsageError naming what is absent.

    Sizes, conditions (those whose drop probability is below 1), noise, k, batches, epochs and rates are taken over. Sound has the
    26 numbers that this program's corpora give; the prior is trained; a hypernetwork, where there is one, becomes a low-rank one.
    The phases that were not released take the sizes of theirs.
    """
    try:
        return _translated(tree, items)
    except (KeyError, TypeError, IndexError) as error:
        raise UsageError(f"{source} lacks a setting of PerFRDiff's configuration ({error}); compare it with the published "
                         "file.") from None


def _translated(tree: Mapping[str, Any], items: int) -> Tree:
    vae, person = tree["latent_embedder"]["args"], tree["person_specific"]["args"]
    decoder, prior = tree["diffusion_decoder"]["args"], tree["diffusion_prior"]["args"]
    told = [name for name, drop in _DROPS.items() if decoder[drop] < 1.0 and (name != "past" or decoder["use_past_frames"])]
    sections: Tree = {
        "system": {"name": "perfrdiff"}, "data": {"split": "train", "appropriate": 0.0},
        "embedders": {"window": vae["window_size"], "hidden": vae["hidden_dim"], "latent": vae["z_dim"], "mlp": vae["emb_dims"][0]},
        "person": {"width": person["embed_dim"], "layers": person["num_layers"], "heads": person["num_heads"],
                   "feed_forward": person["mlp_dim"], "projection": person["proj_dim"], "dropout": person["drop_prob"]},
        "generator": {"width": decoder["latent_dim"], "layers": decoder["num_layers"], "heads": decoder["num_heads"],
                      "feed_forward": decoder["ff_size"], "dropout": decoder["dropout"], "conditions": ",".join(told),
                      "audio_scale": decoder["latent_dim"] ** -0.5, "guidance": decoder["guidance_scale"],
                      "drop": max((decoder[_DROPS[name]] for name in told), default=0.0),
                      "steps": tree["diffusion_decoder"]["scheduler"]["num_inference_timesteps"],
                      "prior_depth": prior["depth"], "prior_heads": prior["heads"], "prior_head": prior["dim_head"],
                      "prior_guidance": prior["guidance_scale"]}}
    epochs, batch = tree["trainer"]["epochs"], tree["dataset"]["batch_size"]
    training = {"batch_size": batch, "max_steps": max(epochs * items // batch, 1), "grad_clip": 0.0,
                "seed": tree["trainer"]["seed"]}
    if "main_model" not in tree:
        sections["generator"]["appropriate"] = tree["dataset"]["k_appro"]
        rates = tree["optimizer"]["args"]
        sections["generator_train"] = {**training, "lr": float(rates["lr"]), "weight_decay": float(rates["weight_decay"])}
        return sections
    network = tree["main_model"]["args"]
    sections["personal"] = {"hidden": network["latent_dim"], "shared": network["num_shared_layers"],
                            "penalty": float(network["regular_w"]) if network["regularization"] else 0.0,
                            "edited": ",".join(_part(name) for name in network["modified_layers"])}
    sections["personal_train"] = training
    return sections


def _part(name: str) -> str:
    if name == _OUTPUT:
        return "output"
    layer = name.removeprefix(_CROSS).split(".")
    if len(layer) == 2 and layer[1] == "multihead_attn" and layer[0].isdecimal():
        return f"{layer[0]}.cross"
    raise UsageError(f"main_model.args.modified_layers names {name}, but only cross-attentions of the decoder and its output can "
                     "be shifted; drop it.")
