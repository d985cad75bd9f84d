"""The head models by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

from diffusionrig.errors import UsageError
from diffusionrig.geometry.head import HeadModel
from diffusionrig.io.assets import read_asset, user_assets
from diffusionrig.io.npz import read_arrays

DEFAULT_HEAD = "open-head-1"


def _open_head() -> HeadModel:
    from diffusionrig.geometry.open_head import OpenHead

    return OpenHead(read_arrays(read_asset("open_head.npz"), "assets/open_head.npz"))


def _registered(name: str) -> HeadModel:
    from diffusionrig.geometry.registered_heads import load_registered_head

    return load_registered_head(name)


_REGISTERED = ("flame-2020", "flame-2023", "flame-2020-bfm", "flame-2023-bfm")
_LOADERS: dict[str, Callable[[], HeadModel]] = {DEFAULT_HEAD: _open_head,
                                                **{name: partial(_registered, name) for name in _REGISTERED}}


def head_names() -> tuple[str, ...]:
    """Names that ``load_head`` knows: the open head, and FLAME for those who have registered, its files being there or not."""
    return tuple(_LOADERS)


def load_head(name: str = DEFAULT_HEAD) -> HeadModel:
    """The head model of that name, on the CPU in float32, loaded once and shared: do not change or move it in place.

    ``copy.deepcopy(load_head()).to(device)`` gives one of your own. UsageError for a name that is not known, or when the
    registered files of a head are absent.
    """
    if name not in _LOADERS:
        known = ", ".join(_LOADERS)
        raise UsageError(f"There is no head model {name!r}; use one of: {known}.")
    # Another folder of registered files may hold other editions.
    return _load(name, "" if name == DEFAULT_HEAD else str(user_assets()))


@lru_cache(maxsize=8)
def _load(name: str, folder: str) -> HeadModel:
    return _LOADERS[name]()
