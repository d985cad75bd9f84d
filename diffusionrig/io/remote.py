"""Files at ``gs://``, ``az://`` or ``https://`` addresses, brought to this machine once."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from diffusionrig.errors import RigError, UsageError
from diffusionrig.io.damage import DAMAGE, raise_faults
from diffusionrig.io.files import atomic_path, make_folder


def is_remote(path: str | Path) -> bool:
    """Whether ``path`` is an address rather than a file of this machine."""
    return "://" in str(path)


def _cache() -> Path:
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "diffusionrig"
    try:
        return Path.home() / ".cache" / "diffusionrig"
    except RuntimeError as error:  # a user without a home, as in containers
        raise UsageError("There is no home folder to keep fetched files in; set XDG_CACHE_HOME to a folder that can be written "
                         "to.") from error


def local_copy(path: str | Path) -> Path:
    """``path`` itself when it is local; else a copy of the remote file, kept in ``$XDG_CACHE_HOME/diffusionrig``.

    The copy is named by the address, so another file there needs another address. RigError when it cannot be fetched.
    """
    address = str(path)
    if not is_remote(address):
        return Path(path)
    cache = _cache()
    target = cache / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}-{address.rsplit('/', 1)[-1]}"
    if target.exists():
        return target
    import blobfile

    make_folder(cache)
    try:
        with blobfile.BlobFile(address, "rb") as source, atomic_path(target) as temporary, open(temporary, "wb") as out:
            shutil.copyfileobj(source, out)
    except RigError:
        raise
    except DAMAGE as error:  # blobfile raises errors of every cloud's own kinds
        raise_faults(error)
        raise RigError(f"Cannot fetch {address} ({str(error).splitlines()[0][:120] if str(error) else type(error).__name__}); "
                       "check the address and your access to it.") from error
    return target
