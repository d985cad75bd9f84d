"""Keys and values of the frames so far, kept in place: a patch is written behind them as often as it is denoised, and stays when it
is done. Nothing is copied but what has to move once in a while, when the room is full."""

from __future__ import annotations

from torch import Tensor

ROOM = 4
"""Times what is seen that there is room for: the more, the rarer it has to move."""


class Past:
    """What every layer looks back on: the last ``memory`` frames, or all of them (None)."""

    def __init__(self, memory: int | None = None) -> None:
        self._memory = memory
        self._held: dict[int, tuple[Tensor, Tensor]] = {}
        self._begin = self._end = self._room = 0

    def __len__(self) -> int:
        """Frames that are seen now."""
        return self._end - self._begin

    def joined(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, P + T, D) of the past and, behind it, of the T frames given, for one layer: views of what the
        next call writes to again."""
        stop = self._end + keys.shape[2]
        if stop > self._room:
            self._move(keys.shape[2])
            stop = self._end + keys.shape[2]
        if layer not in self._held:
            shape = (*keys.shape[:2], self._room, keys.shape[3])
            self._held[layer] = keys.new_empty(shape), values.new_empty(shape)
        held_keys, held_values = self._held[layer]
        held_keys[:, :, self._end:stop], held_values[:, :, self._end:stop] = keys, values
        return held_keys[:, :, self._begin:stop], held_values[:, :, self._begin:stop]

    def grow(self, frames: int) -> None:
        """The first ``frames`` of those that were joined last belong to the past."""
        self._end += frames
        if self._memory is not None:
            self._begin = max(self._begin, self._end - self._memory)

    def _move(self, frames: int) -> None:
        """Begin at the front again, in room for ``frames`` more."""
        seen, self._room = slice(self._begin, self._end), max(self._room, ROOM * (len(self) + frames))
        for layer, pair in self._held.items():
            moved = [part.new_empty(*part.shape[:2], self._room, part.shape[3]) for part in pair]
            for new, old in zip(moved, pair):
                new[:, :, :len(self)] = old[:, :, seen]
            self._held[layer] = moved[0], moved[1]
        self._begin, self._end = 0, len(self)
