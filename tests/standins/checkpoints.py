"""Stand-ins of DECA's, EMOCA's and SMIRK's files of weights, at full size."""

from __future__ import annotations

import contextlib
import sys
import types
import typing
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from standins.networks import detail_decoder_names, encoder_names, random_weights, smirk_names

EMOCA_KINDS: dict[str, tuple[int, bool, bool]] = {  # outputs, exp_deca_jaw_pose, exp_deca_global_pose
    "v1": (50, False, False), "v2": (53, True, False), "v2-global": (53, False, True), "v2-both": (56, True, True)}
EMOCA_FOLDERS = {"v1": "EMOCA"}


def emoca_folder(kind: str) -> str:
    """Name of the model's folder: EMOCA for version 1, else the default release of version 2."""
    return EMOCA_FOLDERS.get(kind, "EMOCA_v2_lr_mse_20")


def face_encoder(generator: torch.Generator, outputs: int = 236) -> dict[str, Tensor]:
    """A random encoder whose answers scatter around a frontal, neutral, evenly lit face that fills its crop."""
    weights = random_weights(encoder_names(outputs), generator)
    weights["layers.2.weight"] *= 0.02
    weights["layers.2.bias"] *= 0.1
    if outputs == 236:
        bias = weights["layers.2.bias"]
        bias[206:209] = torch.tensor([8.6, 0.0, 0.035])
        bias[209:212] = 3.4
        bias[218:221] = 0.25
    return weights


def deca_networks(seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """E_flame, E_detail and D_detail."""
    generator = torch.Generator().manual_seed(seed)
    return {"E_flame": face_encoder(generator), "E_detail": face_encoder(generator, 128),
            "D_detail": random_weights(detail_decoder_names(), generator)}


def write_deca(path: Path, networks: dict[str, dict[str, Tensor]], legacy: bool = False) -> None:
    """deca_model.tar: a torch file with the three networks and what training left in it."""
    moments = {0: {"step": 7, "exp_avg": torch.zeros(64, 3, 7, 7), "exp_avg_sq": torch.zeros(64, 3, 7, 7)}}
    groups = [{"lr": 1e-4, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False, "params": [0]}]
    state = {**networks, "opt": {"state": moments, "param_groups": groups}, "global_step": 1000, "batch_size": 8}
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)


def write_smirk(path: Path, seed: int = 0) -> None:
    """SMIRK_em1.pt: the encoder, and a few tensors of the generator that is not needed."""
    generator = torch.Generator().manual_seed(seed + 2)
    weights = random_weights(smirk_names(), generator)
    for head in ("pose_encoder.pose_cam", "shape_encoder.shape", "expression_encoder.expression"):
        weights[f"{head}_layers.0.weight"] *= 0.02
        weights[f"{head}_layers.0.bias"] *= 0.1
    weights["pose_encoder.pose_cam_layers.0.bias"][3] = 7.0
    state = {f"smirk_encoder.{name}": value for name, value in weights.items()}
    state["smirk_generator.in_conv.0.weight"] = torch.randn(16, 6, 3, 3, generator=generator)
    state["smirk_generator.in_conv.0.bias"] = torch.zeros(16)
    torch.save(state, path)


def write_emoca(models: Path, deca: dict[str, dict[str, Tensor]], flame: dict[str, np.ndarray] | None = None,
                kind: str = "v2", seed: int = 0) -> Path:
    """<models>/<name>/: cfg.yaml and the detail checkpoints, of which the one with the smallest loss counts."""
    outputs, jaw, rotation = EMOCA_KINDS[kind]
    folder = models / emoca_folder(kind)
    deeper = folder / "detail" / "checkpoints" / "deca-epoch=10-val_loss"
    deeper.mkdir(parents=True, exist_ok=True)
    settings = _settings(jaw, rotation)
    (folder / "cfg.yaml").write_text(_yaml({"coarse": settings, "detail": settings}))
    generator = torch.Generator().manual_seed(seed + 1)
    networks = {**deca, "E_expression": face_encoder(generator, outputs)}
    state = {f"deca.{network}.{name}": value for network, weights in networks.items() for name, value in weights.items()}
    if flame is not None:
        state["deca.flame.v_template"] = torch.from_numpy(flame["v_template"]).float()
        state["deca.flame.shapedirs"] = torch.from_numpy(flame["shapedirs"][..., :150]).float()
    state["deca.uv_face_eye_mask"] = torch.zeros(1, 1, 256, 256)
    state["deca.fixed_uv_dis"] = torch.zeros(256, 256)
    for name in ("deca.perceptual_loss.model.conv1.weight", "deca.id_loss.reg_model.conv1.weight", "emonet_loss.backbone.w",
                 "lipread_loss.model.w", "emotion_mlp.0.weight", "deca.render.dense_faces"):
        state[name] = torch.zeros(4, 3)
    write_lightning(deeper / "dataloader_idx_0=3.50196123.ckpt", state)
    # Others that must not be taken: a worse one, and the last one.
    broken = folder / "detail" / "checkpoints"
    write_lightning(broken / "deca-epoch=00-val_loss=9.25.ckpt", {"deca.E_flame.layers.0.bias": torch.zeros(1024)})
    write_lightning(broken / "last.ckpt", {"deca.E_flame.layers.0.bias": torch.zeros(1024)})
    return folder


def write_lightning(path: Path, state: dict[str, Tensor]) -> None:
    """A Lightning checkpoint, its settings pickled as OmegaConf objects."""
    with _strange_classes("omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode",
                          "omegaconf.base.ContainerMetadata", "omegaconf.base.Metadata",
                          "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
                          "pytorch_lightning.utilities.parsing.AttributeDict") as made:
        def config(value: Any) -> Any:
            kind = {dict: "DictConfig", list: "ListConfig"}.get(type(value), "AnyNode")
            node = made[kind]()
            meta = made["ContainerMetadata" if kind != "AnyNode" else "Metadata"]()
            meta.__dict__.update(ref_type=typing.Any, object_type=type(value), optional=True, key=None, flags=None,
                                 resolver_cache=defaultdict(dict), key_type=typing.Any, element_type=typing.Any)
            content = ({key: config(item) for key, item in value.items()} if isinstance(value, dict)
                       else [config(item) for item in value] if isinstance(value, list) else value)
            node.__dict__.update(_metadata=meta, _parent=None, _content=content)
            return node

        hyper = made["AttributeDict"]()
        hyper.__dict__.update(model_params=config({"n_shape": 100, "deca_class": "ExpDECA"}), learning_params=config(
            {"optimizer": "Adam", "batch_size": 4, "losses": ["L_lmk", "L_emotion"]}), stage_name="test")
        torch.save({"epoch": 10, "global_step": 5000, "pytorch-lightning_version": "1.4.9", "state_dict": state,
                    "callbacks": {made["ModelCheckpoint"]: {"monitor": "val/loss", "best_model_score": torch.tensor(3.5),
                                                            "best_model_path": "/home/someone/x.ckpt"}},
                    "optimizer_states": [{"state": {0: {"step": 5, "exp_avg": torch.zeros(8)}}, "param_groups": [{"lr": 1e-5}]}],
                    "lr_schedulers": [], "hparams_name": "cfg", "hyper_parameters": hyper}, path)


@contextlib.contextmanager
def _strange_classes(*names: str) -> Iterator[dict[str, type]]:
    """Classes of packages that are not installed, there only while something of them is pickled."""
    before, made = dict(sys.modules), {}
    try:
        for full in names:
            module, name = full.rsplit(".", 1)
            for depth in range(1, module.count(".") + 2):
                part = ".".join(module.split(".")[:depth])
                sys.modules.setdefault(part, types.ModuleType(part))
            made[name] = type(name, (), {"__module__": module})
            setattr(sys.modules[module], name, made[name])
        yield made
    finally:
        for name in set(sys.modules) - set(before):
            if name.split(".")[0] in {"omegaconf", "pytorch_lightning"}:
                del sys.modules[name]


def _settings(jaw: bool, rotation: bool) -> dict[str, dict[str, Any]]:
    model = {"deca_class": "ExpDECA", "expression_backbone": "deca_clone", "n_shape": 100, "n_tex": 50, "n_exp": 50,
             "n_pose": 6, "n_cam": 3, "n_light": 27, "n_detail": 128, "image_size": 224, "uv_size": 256, "tex_type": "BFM",
             "use_texture": False, "mode": "detail", "exp_deca_jaw_pose": jaw, "exp_deca_global_pose": rotation,
             "detail_conditioning": ["jawpose", "expression", "detail"],
             "flame_model_path": "/home/someone/FLAME/generic_model.pkl"}
    return {"data": {"path": "/home/someone/data"}, "model": model, "learning": {"batch_size": 4},
            "inout": {"full_run_dir": "/home/someone/run"}}


def _yaml(tree: dict[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(tree, sort_keys=False)
