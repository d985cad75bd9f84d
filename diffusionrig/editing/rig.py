"""The Rig: a capturing half and a painting half, joined from one checkpoint. Analyse once, edit many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusionrig.capture.encoder import Encoder
from diffusionrig.capture.registry import best_encoder, usual_head
from diffusionrig.devices import resolve_device
from diffusionrig.editing.analysis import Analysis
from diffusionrig.editing.capturing import Capturing, Photo
from diffusionrig.editing.conditions import BUFFERS
from diffusionrig.editing.consent import consent_of
from diffusionrig.editing.controls import Edit, parse_modes, parse_sliders
from diffusionrig.editing.painting import OnCall, Painter
from diffusionrig.editing.pictures import draw_requests
from diffusionrig.editing.prepared import Prepared
from diffusionrig.editing.pretrained import Pretrained, load_pretrained
from diffusionrig.editing.request import Request, Result
from diffusionrig.editing.sampling import Sampling
from diffusionrig.errors import UsageError
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.render.buffers import PhysicalBuffers


class Rig:
    """Captures faces and draws edited ones: ``capturing`` sees, ``painter`` draws.

    >>> rig = Rig.from_pretrained("default", device="cpu")
    >>> rig.size
    256
    """

    def __init__(self, pretrained: Pretrained, encoder: str | None = None, device: torch.device | str = "cpu",
                 rasterizer: str = "torch", landmarks: str = "mediapipe", precision: str = "auto", compiled: bool = False) -> None:
        self.pretrained = pretrained
        self.capturing = Capturing(pretrained.head, encoder, device, pretrained.model.image_size, landmarks)
        self.painter = Painter(pretrained, self.capturing.head, self.capturing.device, rasterizer, precision, compiled)
        self.device, self.head, self.size = self.capturing.device, self.capturing.head, self.capturing.size
        self.network, self.rasterizer = self.painter.network, rasterizer
        self.precision, self.compiled = self.painter.precision, compiled

    @classmethod
    def from_pretrained(cls, path: str | Path = "default", *, device: str = "auto", encoder: str | None = None,
                        model: Mapping[str, Any] | None = None, diffusion: Mapping[str, Any] | None = None,
                        rasterizer: str = "torch", head: str = "", landmarks: str = "mediapipe", base: str | Path = "",
                        precision: str = "auto", compiled: bool = False) -> Rig:
        """Load a rig from the shipped prior (``default``), a ``.safetensors`` checkpoint, or a released ``.pt`` file. ``model`` and
        ``diffusion`` are settings by name that a released file does not show (``load_pretrained``). ``base`` is the base model of
        an adapter, where it is not found by itself. ``encoder`` defaults to the best whose files are there, and ``head``, where the
        model does not name its own, to the one whose codes that encoder makes. ``landmarks`` (a name of
        ``faces.backends.BACKENDS``) says who finds the faces that DECA and EMOCA look at. ``precision`` of the denoising network
        (fp32, bf16, fp16, or auto: the fastest that the device computes in) and ``compiled`` (torch.compile, a minute or two once)
        change speed; what they change in the images is stated in docs/editing.md.
        """
        chosen = resolve_device(device)
        pretrained = load_pretrained(path, model=model, diffusion=diffusion, device=chosen, head=head,
                                     usual_head=usual_head(encoder or best_encoder()), base=base)
        return cls(pretrained, encoder, chosen, rasterizer, landmarks, precision, compiled)

    def use_album(self, path: str | Path) -> None:
        """Let edits take teeth, open eyes or the other cheek, where the source does not show them, from further photographs of the
        same person: the store at ``path`` (create-data). UsageError when the model draws from buffers."""
        self.painter.use_album(path)

    @property
    def consent(self) -> str | None:
        """The words in which the person of a personal model agreed, or that none were stated; None for other models."""
        return consent_of(self.pretrained.meta)

    def encoder(self, name: str | None = None) -> Encoder:
        """The named encoder (made once), by default the rig's own, else the best that knows the model's head."""
        return self.capturing.encoder(name)

    def capture(self, photos: Photo | Sequence[Photo], encoder: str | None = None) -> Analysis:
        """Analyse aligned photographs: paths or (H, W, 3) uint8 arrays.

        Non-square pictures are cropped about their centre. A picture without a face is not an error here: ``found`` says so.
        """
        return self.painter.complete(self.capturing.capture(photos, encoder))

    def analyse(self, images: Tensor, code: FaceCode) -> Analysis:
        """An Analysis from images (B, S, S, 3) uint8 whose codes are already known (a store's, or the truth)."""
        return self.painter.complete(self.capturing.analyse(images, code))

    def buffers(self, code: FaceCode, centre: Tensor | None = None) -> PhysicalBuffers:
        """Physical buffers of ``code`` at the network's size; ``centre`` (B, 3) keeps the head where it was."""
        return self.painter.buffers(code, centre)

    def edit(self, source: Analysis | Photo, target: Analysis | Photo | None = None, mode: str = "exp", *,
             strength: float = 1.0, sliders: str = "", sampling: Sampling | None = None) -> Result:
        """One edit of one face: ``mode`` as on the command line (``exp+light``), ``sliders`` such as ``jawOpen=0.6``,
        or ``jawOpen=+0.2`` to move from what the face shows (``controls.parse_sliders``).

        Without a target only the sliders act.
        """
        sources = source if isinstance(source, Analysis) else self.capture(source)
        targets = target if isinstance(target, Analysis) or target is None else self.capture(target)
        edits = parse_modes(mode, strength, sliders) if targets is not None else [Edit("set", (), 1.0, *parse_sliders(sliders))]
        if len(edits) != 1:
            raise UsageError(f"edit draws one mode, not {mode!r}; join parts with + or call edit_many.")
        request = Request(0, None if targets is None else 0, edits[0])
        return next(self.edit_many(sources, targets, [request], sampling=sampling))

    def edit_many(self, sources: Analysis, targets: Analysis | None, requests: Sequence[Request], *,
                  batch_size: int = 4, sampling: Sampling | None = None, on_call: OnCall | None = None) -> Iterator[Result]:
        """Draw every request, ``batch_size`` at a time, in order. ``on_call(n)`` is told after n images took one network call.

        Every output has its own seeded noise, the same for all outputs of one seed, so edits of a face can be compared.
        """
        return draw_requests(self.painter, sources, targets, requests, batch_size, sampling or Sampling(), on_call)

    def calls(self, sampling: Sampling) -> int:
        """Network calls one image takes."""
        return self.painter.calls(sampling)

    def inversion_calls(self, sampling: Sampling) -> int:
        """Further network calls each source takes, once for all its edits."""
        return self.painter.inversion_calls(sampling)

    def check_guidance(self, sampling: Sampling) -> None:
        """UsageError when ``sampling`` leads away from buffers that are absent, and the model never saw that."""
        self.painter.check_guidance(sampling)

    def invert(self, sources: Analysis, sampling: Sampling, on_call: OnCall | None = None) -> Tensor:
        """The noise (B, 3, S, S) from which DDIM draws the ``sources`` themselves under their own buffers."""
        return self.painter.invert(Prepared(sources), sampling, on_call)

    def draw(self, buffers: PhysicalBuffers, latent: Tensor, sampling: Sampling, on_call: OnCall | None = None,
             start: Tensor | None = None) -> Tensor:
        """Images (B, 3, S, S) in [-1, 1] from buffers and global latents (B, latent_dim), for models of the published condition.

        ``start`` is the noise (B, 3, S, S) to begin with; that of the seed when it is left out.
        """
        if self.pretrained.condition != BUFFERS:
            raise UsageError(f"Buffers alone do not say what a model of the condition {self.pretrained.condition!r} is to draw; "
                             "use edit or edit_many.")
        return self.painter.draw(buffers.stack(), latent, sampling, on_call, start)
