"""GRU autoencoders of windows (DLow's form): the parameters have the published names, but for the recurrent cells'."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from diffusionrig.reactions.generators.clips import Clip
from diffusionrig.reactions.interface import ATTRIBUTES, COEFFICIENTS


class Scaling(nn.Module):
    """Brings attributes, coefficients (about the mean face) and sound to the units of training, and back; holds the mean face."""

    def __init__(self, audio: int) -> None:
        super().__init__()
        self.mean_face: Tensor
        for name, size in (("emotion", ATTRIBUTES), ("face", COEFFICIENTS), ("audio", audio)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_deviation", torch.ones(size))
        self.register_buffer("mean_face", torch.zeros(COEFFICIENTS))

    @torch.no_grad()
    def measure(self, clips: Sequence[Clip], least: float = 0.02) -> None:
        """Take means and deviations from ``clips``; a channel that hardly moves counts as moving by ``least``."""
        for name, tensors in (("emotion", [clip.emotion for clip in clips]), ("face", [clip.coefficients for clip in clips]),
                              ("audio", [clip.audio for clip in clips])):
            rows = torch.cat(tensors).double()
            self.get_buffer(f"{name}_mean").copy_(rows.mean(0))
            self.get_buffer(f"{name}_deviation").copy_(rows.std(0).clamp_min(least))

    def scaled(self, name: str, values: Tensor) -> Tensor:
        """``name``: emotion, face or audio; (..., C)."""
        return (values - self.get_buffer(f"{name}_mean")) / self.get_buffer(f"{name}_deviation")

    def natural(self, name: str, values: Tensor) -> Tensor:
        """The inverse of ``scaled``."""
        return values * self.get_buffer(f"{name}_deviation") + self.get_buffer(f"{name}_mean")


class Recurrent(nn.Module):
    """A GRU under the published name of its cell."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.rnn_f = nn.GRU(features, hidden, batch_first=True)


class StepRecurrent(nn.Module):
    """A GRU cell under its published name."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.rnn_f = nn.GRUCell(features, hidden)


class Perceptron(nn.Module):
    """Two layers with tanh after each."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.affine_layers = nn.ModuleList([nn.Linear(features, width), nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.affine_layers:
            x = layer(x).tanh()
        return x


class WindowVAE(nn.Module):
    """Windows (B, w, ``features``) -> ``latent`` numbers and back; guesses ``others`` features of each frame."""

    def __init__(self, features: int, others: int, hidden: int, latent: int, mlp: int) -> None:
        super().__init__()
        self.features = features
        self.x_rnn = Recurrent(features, hidden)
        self.fc_mu_enc = nn.Linear(hidden, latent)
        self.fc_logvar_enc = nn.Linear(hidden, latent)
        self.fc_z_dec = nn.Linear(latent, hidden)
        self.d_rnn = StepRecurrent(features + hidden, hidden)
        self.d_mlp = Perceptron(hidden, mlp)
        self.d_out = nn.Linear(mlp, features)
        self.coeff_reg = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, others))

    def last_state(self, x: Tensor) -> Tensor:
        """(B, hidden): the recurrent state after the window, which the published generator takes for the code."""
        return self.x_rnn.rnn_f(x)[1][0]

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, latent) of the code."""
        state = self.last_state(x)
        return self.fc_mu_enc(state), self.fc_logvar_enc(state)

    def encode(self, x: Tensor) -> Tensor:
        """(B, latent): the mean code, around which the decoder was trained."""
        return self.fc_mu_enc(self.last_state(x))

    def decode(self, code: Tensor, frames: int) -> Tensor:
        """(B, frames, features), each frame fed by the one before."""
        told = self.fc_z_dec(code)
        state, frame = torch.zeros_like(told), told.new_zeros(len(told), self.features)
        rows = []
        for _ in range(frames):
            state = self.d_rnn.rnn_f(torch.cat([told, frame], 1), state)
            frame = self.d_out(self.d_mlp(state))
            rows.append(frame)
        return torch.stack(rows, 1)


class Embedders(nn.Module):
    """``scaling``; ``emotion`` and ``face``, autoencoders of attributes and coefficients in its units."""

    def __init__(self, audio: int, hidden: int, latent: int, mlp: int) -> None:
        super().__init__()
        self.scaling = Scaling(audio)
        self.emotion = WindowVAE(ATTRIBUTES, COEFFICIENTS, hidden, latent, mlp)
        self.face = WindowVAE(COEFFICIENTS, ATTRIBUTES, hidden, latent, mlp)

    def coefficients(self, emotion: Tensor) -> Tensor:
        """Attributes (..., 25) -> the coefficients (..., 58) about the mean face that go with them, frame by frame."""
        return self.scaling.natural("face", self.emotion.coeff_reg(self.scaling.scaled("emotion", emotion)))
