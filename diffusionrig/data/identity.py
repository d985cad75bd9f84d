"""What tells one store from another, whatever it is called and wherever it lies: its photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MOST = 256
"""Photographs that an identity remembers."""

SMALL = 4096
"""Stores of up to so many records are looked through whole; of larger ones, which nobody rebuilds in another order, places are
looked at."""


class Pictures(Protocol):
    """A store as far as its identity goes."""

    def __len__(self) -> int:
        """Number of records."""

    def mark(self, index: int) -> bytes:
        """What tells the picture of record ``index`` from others, read without decoding it."""


@dataclass(frozen=True)
class StoreIdentity:
    """name     of the store's folder, for sentences alone
    records  how many there were
    pictures marks of photographs: of a small store the least ``MOST`` of all its marks, of a large one those at even distances
    """

    name: str
    records: int
    pictures: tuple[str, ...]

    @classmethod
    def of(cls, name: str, store: Pictures) -> StoreIdentity:
        """The identity of a store as it is now."""
        count = len(store)
        marks = sorted(picture_marks(store, range(count)))[:MOST] if count <= SMALL else picture_marks(store, _places(count))
        return cls(name, count, tuple(marks))

    def missing_in(self, store: Pictures) -> int:
        """How many of the remembered photographs are not in ``store``; 0 for the same store, and for one that has grown since."""
        if self.records <= SMALL:
            return len(set(self.pictures) - set(picture_marks(store, range(len(store)))))
        if len(store) < self.records:
            return self.records - len(store)
        return sum(known != found for known, found in zip(self.pictures, picture_marks(store, _places(self.records))))

    def as_json(self) -> dict[str, Any]:
        """Plain values, the marks as one text."""
        return {"name": self.name, "records": self.records, "pictures": " ".join(self.pictures)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> StoreIdentity:
        """What ``as_json`` gave."""
        return cls(str(values["name"]), int(values["records"]), tuple(str(values["pictures"]).split()))


def _places(count: int) -> Sequence[int]:
    return [place * (count - 1) // (MOST - 1) for place in range(MOST)]


def picture_marks(store: Pictures, indices: Iterable[int]) -> list[str]:
    """What tells photographs of a store from others, wherever they stand in it."""
    return [hashlib.blake2b(store.mark(index), digest_size=6).hexdigest() for index in indices]
