"""Features of pretrained networks, an extra: loaded by transformers from a folder that the user has; nothing is ever downloaded."""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from diffusionrig.devices import resolve_device
from diffusionrig.errors import RigError
from diffusionrig.io.damage import short_reason
from diffusionrig.reactions.features.clip_data import ClipData
from diffusionrig.reactions.features.field import Field
from diffusionrig.reactions.features.resampling import resample

SPEECH_RATE, SPEECH_STRIDE, SPEECH_FIELD = 16000, 320, 400
"""Of wav2vec2: hertz, samples from row to row (50 rows a second), samples that a row sees."""

WINDOW = 5
"""Video frames that one row of the VideoMAE features covers, as UniFR has it."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _FromFolder:
    """What both have in common: a folder of weights that ``class_name`` of transformers reads."""

    name = class_name = flag = ""

    def __init__(self, folder: str, device: str) -> None:
        self.folder, self.device = folder, device

    def missing(self) -> str:
        """Why it cannot be had here, in one sentence; empty when it can."""
        if not self.folder:
            return f"{self.name} is left out, since no weights were given; name the folder of a {self.class_name} with {self.flag}."
        if not (Path(self.folder) / "config.json").is_file():
            return (f"{self.name} is left out, since {self.folder} holds no config.json; name the folder of a {self.class_name} "
                    f"with {self.flag}.")
        try:
            importlib.import_module("transformers")
        except (ImportError, OSError) as error:
            return (f"{self.name} is left out, since the package transformers cannot be imported ({short_reason(error)}); install "
                    'it with pip install "diffusionrig[wav2vec]".')
        return ""

    @cached_property
    def network(self) -> Any:
        transformers: Any = importlib.import_module("transformers")
        try:
            # Only safetensors: other files would have to be unpickled.
            made = getattr(transformers, self.class_name).from_pretrained(self.folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, KeyError) as error:
            raise RigError(f"{self.folder} holds no {self.class_name} in safetensors that can be read ({short_reason(error)}); "
                           "download or convert it again.") from error
        return made.eval().to(resolve_device(self.device))


class Wav2Vec2(_FromFolder):
    """``s_wav2vec2``: what FaceAIS uses, the convolutional part of wav2vec2 after its layer norm, 512 numbers at 50 Hz."""

    name, class_name, flag = "wav2vec2", "Wav2Vec2Model", "--wav2vec2"

    def fields(self, fps: float) -> tuple[Field, ...]:
        rate = SPEECH_RATE / SPEECH_STRIDE
        return (Field("s_wav2vec2", rate, "Row r sees 25 ms of sound from (r - 1) / 50 s on, row 0 is zero: at 25 frames a second "
                      "rows 2t and 2t + 1 end within video frame t.", "Layer-normed output of the convolutional encoder of the "
                      f"wav2vec2 in {Path(self.folder).name}, of sound at 16 kHz scaled to mean 0 and deviation 1 over the clip."),)

    @torch.inference_mode()
    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        heard = resample(*data.sound, target=SPEECH_RATE).astype(np.float64)
        rows = int(np.ceil(len(heard) / SPEECH_STRIDE))
        scaled = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7)
        # The last row would see beyond the end by less than its own length.
        padded = np.concatenate([scaled, np.zeros(SPEECH_FIELD)]).astype(np.float32)
        samples = torch.from_numpy(padded)[None].to(resolve_device(self.device))
        encoded = self.network.feature_extractor(samples).transpose(1, 2)
        normed = self.network.feature_projection.layer_norm(encoded)[0].float().cpu().numpy()
        return {"s_wav2vec2": np.concatenate([np.zeros_like(normed[:1]), normed[:rows - 1]])}


class VideoMae(_FromFolder):
    """``s_pose``: in UniFR's manner one row for five frames; mean over the tokens of the last layer."""

    name, class_name, flag = "videomae", "VideoMAEModel", "--videomae"

    def fields(self, fps: float) -> tuple[Field, ...]:
        return (Field("s_pose", fps / WINDOW, f"Row r covers video frames {WINDOW}r to {WINDOW}r + {WINDOW - 1}.",
                      f"Mean over the tokens of the last layer of the VideoMAE in {Path(self.folder).name}; each window is "
                      "stretched to the frames that the network takes by repeating them, and the picture squeezed into a "
                      "square."),)

    @torch.inference_mode()
    def extract(self, data: ClipData) -> dict[str, np.ndarray]:
        config = self.network.config
        side, count = int(config.image_size), int(config.num_frames)
        device = resolve_device(self.device)
        chosen = (np.arange(count) * WINDOW) // count
        rows, window = [], []
        for image in data.frames():
            window.append(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
            if len(window) == WINDOW:
                pixels = (np.stack(window)[chosen].astype(np.float32) / 255 - MEAN) / DEVIATION
                batch = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)[None].to(device)
                rows.append(self.network(pixel_values=batch).last_hidden_state.mean(1)[0].float().cpu().numpy())
                window = []
        if not rows:
            raise RigError(f"{data.clip} has {data.length} frames, but a row of videomae takes {WINDOW}; leave videomae out.")
        return {"s_pose": np.stack(rows)}
