"""The painting half of a rig: from sources and edited codes to pictures. Stills, clips, listeners and live frames come this way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from diffusionrig.devices import resolve_precision
from diffusionrig.diffusion.guidance import guided
from diffusionrig.diffusion.process import Denoiser, beginning
from diffusionrig.diffusion.samplers import ddim_reverse, draw_noise
from diffusionrig.diffusion.schedule import Schedule
from diffusionrig.editing.album import Album, Lenders, acting
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.background import turned, with_background
from diffusionrig.editing.conditions import BUFFERS, REFERENCE, Condition, Painted, Seen, kind_of
from diffusionrig.editing.keeping import REFINEMENTS, mix_noise, renewed
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.pretrained import Pretrained
from diffusionrig.editing.sampling import Sampling, sample
from diffusionrig.errors import RigError, UsageError
from diffusionrig.faces.matting import person_matte
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.model.null_condition import null_share
from diffusionrig.model.running import Prediction, check_compiler, prediction_of
from diffusionrig.randomness import torch_stream
from diffusionrig.render.buffers import PhysicalBuffers
from diffusionrig.render.carrying import carry
from diffusionrig.render.condition import reference_condition
from diffusionrig.render.layers import split_layers
from diffusionrig.render.physical import render_buffers
from diffusionrig.render.posing import pose_heads

OnCall = Callable[[int], None]
"""Is told after that many pictures took one network call."""


class Painter:
    """Draws faces: network, schedule, condition, noise, guidance, what is kept of the source, and the background."""

    def __init__(self, pretrained: Pretrained, head: HeadModel, device: torch.device | str = "cpu", rasterizer: str = "torch",
                 precision: str = "auto", compiled: bool = False) -> None:
        """RigError when the model was trained on another edition of the ``head``, which is on ``device``."""
        self.kind = kind_of(pretrained.condition)
        self.one_call = pretrained.diffusion.one_call
        if pretrained.head_hash and pretrained.head_hash != head.hash:
            raise RigError(f"The model was trained on another edition of the head {pretrained.head} "
                           f"({pretrained.head_hash[:12]}, installed {head.hash[:12]}); install the matching version.")
        self.pretrained, self.head, self.rasterizer = pretrained, head, rasterizer
        self.device = torch.device(device)
        self.precision, self.compiled = resolve_precision(precision, self.device), compiled
        if compiled:
            check_compiler(self.device)
        self.network = pretrained.network.to(self.device)
        self.size = pretrained.model.image_size
        self.album: Album | None = None
        self._predict: Prediction = prediction_of(self.network, self.precision, compiled)

    def use_album(self, path: str | Path) -> None:
        """Let edits take what their source does not show from the photographs of the store at ``path``, of the same person.
        UsageError when the model draws from buffers, which hold no photographs."""
        if self.pretrained.condition != REFERENCE:
            raise UsageError("--album lends photographs to models of the reference condition; this one draws from buffers, so "
                             "leave it out.")
        self.album = Album.read(path, self.size, self.head, self.device, self.rasterizer)

    def complete(self, faces: Analysis) -> Analysis:
        """The same faces with what only the model knows: their latents, and the person's mean shape. UsageError when their images
        have another size than the network draws."""
        if faces.latent is not None:
            return faces
        if faces.images.shape[-1] != self.size:
            raise UsageError(f"The faces were captured at {faces.images.shape[-1]} pixels, but the model draws {self.size}; "
                             f"capture them with Capturing(size={self.size}).")
        with torch.inference_mode():
            latent = self.network.encode_cond(faces.images)
        code = faces.code
        if self.pretrained.mean_shape is not None:
            code = code.replace(shape=self.pretrained.mean_shape.to(code.shape).expand_as(code.shape))
        return Analysis(faces.images, code, faces.centre, faces.found, faces.notes, latent)

    def buffers(self, code: FaceCode, centre: Tensor | None = None) -> PhysicalBuffers:
        """Physical buffers of ``code`` at the network's size; ``centre`` (B, 3) keeps the head where it was."""
        with torch.inference_mode():
            return render_buffers(self.head, code, self.size, centre=centre, rasterizer=self.rasterizer)

    def prepare(self, faces: Analysis, sampling: Sampling, on_call: OnCall | None = None) -> Prepared:
        """Everything about sources that does not depend on the edit, computed once for all of their edits."""
        faces = self.complete(faces)
        if self.pretrained.condition == REFERENCE:
            with torch.inference_mode():
                posed = pose_heads(self.head, faces.code, self.size, faces.centre, self.rasterizer)
                layers = split_layers(faces.images, posed.buffers.alpha, person_matte(faces.images))
                return Prepared(faces, posed=posed, layers=layers)
        if self._settled(sampling).keep == "none":
            return Prepared(faces)
        own = self.buffers(faces.code, faces.centre)
        return Prepared(faces, own, self.invert(Prepared(faces, own), sampling, on_call))

    def lenders(self, sources: Prepared, code: FaceCode, centre: Tensor) -> Lenders | None:
        """Who of the album, if there is one, lends to all frames of a clip alike, ``code`` (T) at ``centre`` (T, 3) of one source.
        """
        if self.album is None:
            return None
        with torch.inference_mode():
            return self.album.serve(code, centre, sources.faces.code)

    def usual_lenders(self, sources: Prepared) -> Lenders | None:
        """The same for one source whose frames are not known yet: who lends to a mouth that opens or smiles, and eyes that shut."""
        if self.album is None:
            return None
        code = acting(sources.faces.code, self.head)
        return self.lenders(sources, code, sources.faces.centre.expand(len(code), 3))

    def condition(self, sources: Prepared, code: FaceCode, centre: Tensor, buffers: PhysicalBuffers | None = None,
                  lenders: Lenders | None = None) -> Condition:
        """What ``sources`` are drawn under when their ``code`` is the edited one and their heads lie at ``centre`` (B, 3), by the
        kind that the checkpoint was trained on; the ``buffers`` of ``code`` are rendered unless they are given. ``lenders`` of a
        clip are those that ``self.lenders`` names."""
        seen = self.preview(sources, code, centre, buffers, lenders)
        with torch.inference_mode():
            values = seen.buffers.stack() if seen.carried is None else reference_condition(seen.carried)
        return Condition(seen.buffers, seen.carried, seen.lenders, values=values)

    def preview(self, sources: Prepared, code: FaceCode, centre: Tensor, buffers: PhysicalBuffers | None = None,
                lenders: Lenders | None = None) -> Seen:
        """The part of a ``condition`` that can be shown before the network draws, without the values that it alone reads."""
        if self.pretrained.condition == BUFFERS:
            return Seen(self.buffers(code, centre) if buffers is None else buffers)
        if sources.posed is None or sources.layers is None:
            raise RigError("These sources were not prepared for the reference condition; use Painter.prepare of the same rig.")
        with torch.inference_mode():
            edited = pose_heads(self.head, code, self.size, centre, self.rasterizer)
            carried = carry(self.head, sources.faces.images, sources.layers, sources.posed, edited)
            asked = None
            if self.album is not None:
                carried, asked = self.album.lend(carried, sources.faces.code, edited, lenders)
            return Seen(edited.buffers, carried, asked)

    def paint(self, sources: Prepared, code: FaceCode, centre: Tensor, sampling: Sampling, latent: Tensor | None = None,
              on_call: OnCall | None = None, lenders: Lenders | None = None) -> Painted:
        """Draw B ``sources`` under the edited ``code`` (B faces) with their heads at ``centre`` (B, 3), metres.

        ``latent`` (B, latent_dim) is the sources' own when left out; ``lenders`` as for ``condition``. A picture does not depend on
        what else is in the batch.
        """
        return self.paint_under(self.condition(sources, code, centre, lenders=lenders), sources, code, sampling, latent, on_call)

    def paint_under(self, condition: Condition, sources: Prepared, code: FaceCode, sampling: Sampling, latent: Tensor | None = None,
                    on_call: OnCall | None = None) -> Painted:
        """The second half of ``paint``, all that the network does, under a ``condition`` that was made beforehand."""
        latent = self.latent(sources.faces) if latent is None else latent
        drawn = self.draw(condition.values, latent, sampling, on_call, self._start(sources, condition.buffers, sampling))
        if sources.own is not None and self.kind.background:
            drawn = with_background(sources.faces.images, drawn, sources.own, condition.buffers, turned(sources.faces.code, code))
        return Painted(drawn, condition)

    def draw(self, condition: Tensor, latent: Tensor, sampling: Sampling, on_call: OnCall | None = None,
             start: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] from a condition (B, C, S, S) and global latents (B, latent_dim).

        ``start`` is the noise (B, 3, S, S) to begin with; that of the seed when it is left out.
        """
        predict = self._denoiser(condition, latent, sampling, on_call)
        start = self.noise(len(condition), sampling) if start is None else start
        generators = [torch_stream(sampling.seed, "edit steps") for _ in range(len(condition))]
        with torch.inference_mode():
            return sample(predict, start.contiguous(memory_format=torch.channels_last), self._schedule(sampling),
                          self._settled(sampling), generators)

    def invert(self, sources: Prepared, sampling: Sampling, on_call: OnCall | None = None) -> Tensor:
        """The noise (B, 3, S, S) from which DDIM draws the ``sources`` themselves under their own condition."""
        faces = sources.faces
        condition = self.condition(sources, faces.code, faces.centre, sources.own)
        denoiser = self._denoiser(condition.values, self.latent(faces), sampling, on_call)
        with torch.inference_mode():
            return ddim_reverse(denoiser, faces.images, self._schedule(sampling), refinements=REFINEMENTS)

    def noise(self, count: int, sampling: Sampling) -> Tensor:
        """The noise (count, 3, S, S) of the seed, the same for every picture, so that edits and frames can be compared; zeros where
        one call draws from the condition alone."""
        noise = draw_noise([torch_stream(sampling.seed, "edit") for _ in range(count)], (3, self.size, self.size), self.device)
        return beginning(self.pretrained.diffusion, noise)

    def latent(self, faces: Analysis) -> Tensor:
        """Their latents (B, latent_dim)."""
        latent = self.complete(faces).latent
        assert latent is not None
        return latent

    def calls(self, sampling: Sampling) -> int:
        """Network calls one picture takes."""
        return len(self._schedule(sampling)) * sampling.calls_a_step

    def inversion_calls(self, sampling: Sampling) -> int:
        """Further network calls each source takes, once for all its edits."""
        return 0 if self._settled(sampling).keep == "none" else (1 + REFINEMENTS) * self.calls(sampling)

    def check_guidance(self, sampling: Sampling) -> None:
        """UsageError when ``sampling`` leads away from buffers that are absent, and the model never saw that."""
        if sampling.null_guidance != 1 and not null_share(self.pretrained.meta, "buffers"):
            raise UsageError("--null_guidance leads away from absent buffers, which this model never saw; train it with "
                             "--drop_buffers 0.1, or leave the flag out.")

    def _settled(self, sampling: Sampling) -> Sampling:
        """``sampling`` as far as the kind of condition lets it have a say."""
        if self.one_call:
            sampling = dataclasses.replace(sampling, solver="ddim", eta=0.0, keep="none")
        return sampling if self.kind.keep else dataclasses.replace(sampling, keep="none")

    def _schedule(self, sampling: Sampling) -> Schedule:
        return sampling.schedule(self.pretrained.diffusion)

    def _start(self, sources: Prepared, buffers: PhysicalBuffers, sampling: Sampling) -> Tensor:
        """What drawing begins with: (B, 3, S, S)."""
        fresh = self.noise(len(buffers), sampling)
        if sources.own is None or sources.noise is None:
            return fresh
        return mix_noise(sources.noise, fresh, renewed(sampling.keep, sources.own, buffers))

    def _denoiser(self, condition: Tensor, latent: Tensor, sampling: Sampling, on_call: OnCall | None) -> Denoiser:
        """The network under a condition, with the guidance that ``sampling`` asks for."""

        def bound(condition: Tensor) -> Denoiser:
            laid_out = condition.contiguous(memory_format=torch.channels_last)

            def predict(x: Tensor, t: Tensor) -> Tensor:
                prediction = self._predict(x, t, laid_out, latent)
                if on_call is not None:
                    on_call(len(x))
                return prediction

            return predict

        if sampling.null_guidance == 1:
            return bound(condition)
        self.check_guidance(sampling)
        return guided(bound(condition), bound(torch.zeros_like(condition)), sampling.null_guidance)
