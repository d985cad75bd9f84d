"""The head models by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from diffusionrig.errors import UsageError
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import read_asset
from diffusionrig.io.npz import read_arrays

DEFAULT_HEAD = "open-head-1"


def _open_head() -> HeadModel:
    from diffusionrig.geometry.open_head import OpenHead

    return OpenHead(read_arrays(read_asset("open_head.npz"), "assets/open_head.npz"))


_LOADERS: dict[str, Callable[[], HeadModel]] = {DEFAULT_HEAD: _open_head}


def head_names() -> tuple[str, ...]:
    """Names that ``load_head`` knows."""
    return tuple(_LOADERS)


def load_head(name: str = DEFAULT_HEAD) -> HeadModel:
    """The head model of that name, on the CPU in float32, loaded once and shared: do not change or move it in place.

    ``copy.deepcopy(load_head()).to(device)`` gives one of your own. UsageError for a name that is not known.
    """
    if name not in _LOADERS:
        known = ", ".join(_LOADERS)
        if name.startswith("flame"):
            raise UsageError(f"The head model {name!r} is not available in this version; use one of: {known}.")
        raise UsageError(f"There is no head model {name!r}; use one of: {known}.")
    return _load(name)


@lru_cache(maxsize=4)
def _load(name: str) -> HeadModel:
    return _LOADERS[name]()
