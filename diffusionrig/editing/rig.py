"""The Rig: head model, renderer, network and personal prior in one object. Analyse once, edit many."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusionrig.capture.encoder import Encoder, EncoderOptions
from diffusionrig.capture.registry import best_encoder, make_encoder, usual_head
from diffusionrig.devices import resolve_device, resolve_precision
from diffusionrig.diffusion.config import DiffusionConfig
from diffusionrig.diffusion.guidance import guided
from diffusionrig.diffusion.process import Denoiser
from diffusionrig.diffusion.samplers import ddim_reverse, draw_noise
from diffusionrig.diffusion.schedule import Schedule
from diffusionrig.editing.background import turned, with_background
from diffusionrig.editing.consent import consent_of
from diffusionrig.editing.controls import Edit, edited_code, parse_modes, parse_sliders
from diffusionrig.editing.keeping import REFINEMENTS, mix_noise, renewed
from diffusionrig.editing.pretrained import Pretrained, load_pretrained
from diffusionrig.editing.sampling import Sampling, sample
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import read_image
from diffusionrig.io.resize import resize_square
from diffusionrig.io.sheets import to_uint8
from diffusionrig.model.config import ModelConfig
from diffusionrig.model.null_condition import null_share
from diffusionrig.model.running import Prediction, check_compiler, prediction_of
from diffusionrig.randomness import torch_stream
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.physical import render_buffers

Photo = str | Path | np.ndarray


@dataclasses.dataclass
class Analysis:
    """B faces, captured and ready to be edited as often as wanted.

    images  (B, 3, S, S) in [-1, 1]
    code    the captured codes, with the person's mean shape where the model has one
    centre  (B, 3) FFHQ centre of the codes as captured, metres; edits keep the head there
    latent  (B, latent_dim) global latent of the images
    found   (B,) whether a face was found; an edit of one that was not is refused
    notes   one sentence per face, empty when there is nothing to say
    """

    images: Tensor
    code: FaceCode
    centre: Tensor
    latent: Tensor
    found: Tensor
    notes: list[str]

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, index: int) -> Analysis:
        """One face, still with its batch axis."""
        rows = slice(index, index + 1) if index >= 0 else slice(index, index + 1 or None)
        return Analysis(self.images[rows], self.code[rows], self.centre[rows], self.latent[rows], self.found[rows],
                        self.notes[rows])


    def rows(self, rows: Sequence[int]) -> Analysis:
        """Some of the faces."""
        return Analysis.concatenate([self[row] for row in rows])

    @staticmethod
    def concatenate(parts: Sequence[Analysis]) -> Analysis:
        """Analyses by one rig, joined along the batch."""
        images, centre, latent, found = (torch.cat([getattr(part, name) for part in parts])
                                         for name in ("images", "centre", "latent", "found"))
        return Analysis(images, FaceCode.concatenate([part.code for part in parts]), centre, latent, found,
                        [note for part in parts for note in part.notes])


@dataclasses.dataclass(frozen=True)
class Request:
    """One output: face ``source`` of the sources, ``target`` of the targets (None without one), and the edit."""

    source: int
    target: int | None
    edit: Edit


@dataclasses.dataclass
class Result:
    """One edited face: ``image`` (S, S, 3) uint8, and the ``buffers`` and ``code`` (batch 1) it was drawn from."""

    image: np.ndarray
    buffers: PhysicalBuffers
    code: FaceCode
    request: Request


class Rig:
    """Captures faces and draws edited ones.

    >>> rig = Rig.from_pretrained("default", device="cpu")
    >>> rig.size
    64
    """

    def __init__(self, pretrained: Pretrained, encoder: str | None = None, device: torch.device | str = "cpu",
                 rasterizer: str = "torch", landmarks: str = "mediapipe", precision: str = "auto", compiled: bool = False) -> None:
        self.pretrained = pretrained
        self.device = torch.device(device)
        self.precision = resolve_precision(precision, self.device)
        self.compiled = compiled
        if compiled:
            check_compiler(self.device)
        self.network = pretrained.network.to(self.device)
        self.head: HeadModel = copy.deepcopy(load_head(pretrained.head)).to(self.device)
        if pretrained.head_hash and pretrained.head_hash != self.head.hash:
            raise RigError(f"The model was trained on another edition of the head {pretrained.head} "
                           f"({pretrained.head_hash[:12]}, installed {self.head.hash[:12]}); install the matching version.")
        self.size = pretrained.model.image_size
        self.rasterizer = rasterizer
        self._encoder_name = encoder
        self._options = EncoderOptions.as_published(self.size, landmarks)
        self._encoders: dict[str, Encoder] = {}
        self._predict: Prediction = prediction_of(self.network, self.precision, compiled)

    @classmethod
    def from_pretrained(cls, path: str | Path = "default", *, device: str = "auto", encoder: str | None = None,
                        model: ModelConfig | None = None, diffusion: DiffusionConfig | None = None,
                        rasterizer: str = "torch", head: str = "", landmarks: str = "mediapipe", base: str | Path = "",
                        precision: str = "auto", compiled: bool = False) -> Rig:
        """Load a rig from the shipped prior (``default``), a ``.safetensors`` checkpoint, or a released ``.pt`` file
        (with its ``model`` and ``diffusion`` configuration). ``base`` is the base model of an adapter, where it is not found by
        itself. ``encoder`` defaults to the best whose files are there, and ``head``, where the model does not name its own, to
        the one whose codes that encoder makes. ``landmarks`` (a name of ``faces.backends.BACKENDS``) says who finds the faces
        that DECA and EMOCA look at. ``precision`` of the denoising network (fp32, bf16, fp16, or auto: the fastest that the
        device computes in) and ``compiled`` (torch.compile, a minute or two once) change speed; what they change in the
        images is stated in docs/editing.md.
        """
        chosen = resolve_device(device)
        pretrained = load_pretrained(path, model=model, diffusion=diffusion, device=chosen, head=head,
                                     usual_head=usual_head(encoder or best_encoder()), base=base)
        return cls(pretrained, encoder, chosen, rasterizer, landmarks, precision, compiled)

    @property
    def consent(self) -> str | None:
        """The words in which the person of a personal model agreed, or that none were stated; None for other models."""
        return consent_of(self.pretrained.meta)

    def encoder(self, name: str | None = None) -> Encoder:
        """The named encoder (made once), by default the rig's own, else the best that knows the model's head."""
        word = name or self._encoder_name or best_encoder(self.head.name)
        if word not in self._encoders:
            self._encoders[word] = make_encoder(word, self.head, self.device, self._options)
        return self._encoders[word]

    def capture(self, photos: Photo | Sequence[Photo], encoder: str | None = None) -> Analysis:
        """Analyse aligned photographs: paths or (H, W, 3) uint8 arrays.

        Non-square pictures are cropped about their centre. A picture without a face is not an error here: ``found`` says so.
        """
        listed = [photos] if isinstance(photos, (str, Path, np.ndarray)) else list(photos)
        if not listed:
            raise UsageError("No photograph was given to capture.")
        arrays = [photo if isinstance(photo, np.ndarray) else read_image(photo) for photo in listed]
        captured = self.encoder(encoder).encode([resize_square(array) for array in arrays])
        small = np.stack([resize_square(array, self.size) for array in arrays])
        return self._analysis(torch.from_numpy(small), captured.code, captured.found, captured.notes)

    def analyse(self, images: Tensor, code: FaceCode) -> Analysis:
        """An Analysis from images (B, S, S, 3) uint8 whose codes are already known (a store's, or the truth)."""
        return self._analysis(images, code, torch.ones(len(code), dtype=torch.bool), [""] * len(code))

    def _analysis(self, images: Tensor, code: FaceCode, found: Tensor, notes: list[str]) -> Analysis:
        code = code.to(self.device, torch.float32)
        scaled = images.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.inference_mode():
            centre = ffhq_centre(self.head.landmarks(self.head.vertices(code), code))
            latent = self.network.encode_cond(scaled)
        if self.pretrained.mean_shape is not None:
            code = code.replace(shape=self.pretrained.mean_shape.to(code.shape).expand_as(code.shape))
        return Analysis(scaled, code, centre, latent, found, notes)

    def buffers(self, code: FaceCode, centre: Tensor | None = None) -> PhysicalBuffers:
        """Physical buffers of ``code`` at the network's size; ``centre`` (B, 3) keeps the head where it was."""
        with torch.inference_mode():
            return render_buffers(self.head, code, self.size, centre=centre, rasterizer=self.rasterizer)

    def edit(self, source: Analysis | Photo, target: Analysis | Photo | None = None, mode: str = "exp", *,
             strength: float = 1.0, sliders: str = "", sampling: Sampling | None = None) -> Result:
        """One edit of one face: ``mode`` as on the command line (``exp+light``), ``sliders`` such as ``jawOpen=0.6``.

        Without a target only the sliders act.
        """
        sources = source if isinstance(source, Analysis) else self.capture(source)
        targets = target if isinstance(target, Analysis) or target is None else self.capture(target)
        edits = parse_modes(mode, strength, sliders) if targets is not None else [Edit("set", (), 1.0, parse_sliders(sliders))]
        if len(edits) != 1:
            raise UsageError(f"edit draws one mode, not {mode!r}; join parts with + or call edit_many.")
        request = Request(0, None if targets is None else 0, edits[0])
        return next(self.edit_many(sources, targets, [request], sampling=sampling))

    def edit_many(self, sources: Analysis, targets: Analysis | None, requests: Sequence[Request], *,
                  batch_size: int = 4, sampling: Sampling | None = None,
                  on_call: Callable[[int], None] | None = None) -> Iterator[Result]:
        """Draw every request, ``batch_size`` at a time, in order. ``on_call(n)`` is told after n images took one network call.

        Every output has its own seeded noise, the same for all outputs of one seed, so edits of a face can be compared.
        """
        sampling = sampling or Sampling()
        kept: dict[int, Tensor] = {}
        for start in range(0, len(requests), batch_size):
            part = requests[start:start + batch_size]
            if sampling.keep != "none":
                rows = sorted({request.source for request in part} - kept.keys())
                for row in rows:
                    _require_face(sources, row, "source")
                if rows:
                    kept.update(zip(rows, self.invert(sources.rows(rows), sampling, on_call)))
            yield from self._draw(sources, targets, part, sampling, on_call, kept)

    def _draw(self, sources: Analysis, targets: Analysis | None, requests: Sequence[Request], sampling: Sampling,
              on_call: Callable[[int], None] | None, kept: dict[int, Tensor]) -> list[Result]:
        codes, latents = [], []
        for request in requests:
            _require_face(sources, request.source, "source")
            code, latent = sources.code[request.source], sources.latent[request.source]
            if request.edit.needs_target:
                if targets is None or request.target is None:
                    raise UsageError(f"The mode {request.edit.name!r} needs a target.")
                _require_face(targets, request.target, "target")
                if "latent" in request.edit.parts:
                    latent = torch.lerp(latent, targets.latent[request.target], request.edit.strength)
            chosen = None if targets is None or request.target is None else targets.code[request.target]
            codes.append(edited_code(code, chosen, request.edit, self.head))
            latents.append(latent)
        code = FaceCode.concatenate(codes)
        rows = [request.source for request in requests]
        buffers = self.buffers(code, sources.centre[rows])
        start = self._noise(len(requests), sampling)
        own = self.buffers(sources.code[rows], sources.centre[rows]) if kept else None
        if kept and own is not None:
            start = mix_noise(torch.stack([kept[row] for row in rows]), start, renewed(sampling.keep, own, buffers))
        drawn = self.draw(buffers, torch.stack(latents), sampling, on_call, start)
        if kept and own is not None:
            drawn = with_background(sources.images[rows], drawn, own, buffers, turned(sources.code[rows], code))
        return [Result(image, buffers[i], code[i], request)
                for i, (image, request) in enumerate(zip(to_uint8(drawn.cpu().numpy(), -1, 1), requests))]

    def calls(self, sampling: Sampling) -> int:
        """Network calls one image takes."""
        return len(self._schedule(sampling)) * sampling.calls_a_step

    def inversion_calls(self, sampling: Sampling) -> int:
        """Further network calls each source takes, once for all its edits."""
        return 0 if sampling.keep == "none" else (1 + REFINEMENTS) * self.calls(sampling)

    def invert(self, sources: Analysis, sampling: Sampling, on_call: Callable[[int], None] | None = None) -> Tensor:
        """The noise (B, 3, S, S) from which DDIM draws the ``sources`` themselves under their own buffers."""
        denoiser = self._denoiser(self.buffers(sources.code, sources.centre), sources.latent, sampling, on_call)
        with torch.inference_mode():
            return ddim_reverse(denoiser, sources.images, self._schedule(sampling), refinements=REFINEMENTS)

    def _noise(self, count: int, sampling: Sampling) -> Tensor:
        return draw_noise([torch_stream(sampling.seed, "edit") for _ in range(count)], (3, self.size, self.size), self.device)

    def check_guidance(self, sampling: Sampling) -> None:
        """UsageError when ``sampling`` leads away from buffers that are absent, and the model never saw that."""
        if sampling.null_guidance != 1 and not null_share(self.pretrained.meta, "buffers"):
            raise UsageError("--null_guidance leads away from absent buffers, which this model never saw; train it with "
                             "--drop_buffers 0.1, or leave the flag out.")

    def _denoiser(self, buffers: PhysicalBuffers, latent: Tensor, sampling: Sampling,
                  on_call: Callable[[int], None] | None) -> Denoiser:
        """The network under a condition, with the guidance that ``sampling`` asks for."""

        def bound(buffers: PhysicalBuffers) -> Denoiser:
            condition = buffers.stack().contiguous(memory_format=torch.channels_last)

            def predict(x: Tensor, t: Tensor) -> Tensor:
                prediction = self._predict(x, t, condition, latent)
                if on_call is not None:
                    on_call(len(x))
                return prediction

            return predict

        if sampling.null_guidance == 1:
            return bound(buffers)
        self.check_guidance(sampling)
        return guided(bound(buffers), bound(buffers.cleared()), sampling.null_guidance)

    def _schedule(self, sampling: Sampling) -> Schedule:
        return sampling.schedule(self.pretrained.diffusion)

    def draw(self, buffers: PhysicalBuffers, latent: Tensor, sampling: Sampling, on_call: Callable[[int], None] | None = None,
             start: Tensor | None = None) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] from buffers and global latents (B, latent_dim).

        ``start`` is the noise (B, 3, S, S) to begin with; that of the seed when it is left out.
        """
        predict = self._denoiser(buffers, latent, sampling, on_call)
        start = self._noise(len(buffers), sampling) if start is None else start
        generators = [torch_stream(sampling.seed, "edit steps") for _ in range(len(buffers))]
        with torch.inference_mode():
            return sample(predict, start.contiguous(memory_format=torch.channels_last), self._schedule(sampling), sampling,
                          generators)


def _require_face(faces: Analysis, index: int, what: str) -> None:
    if not bool(faces.found[index]):
        raise RigError(f"No face was found in the {what} picture number {index}: {faces.notes[index]}")
