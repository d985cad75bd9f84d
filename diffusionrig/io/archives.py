"""Taking one file out of a zip archive (a wheel is one)."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from diffusionrig.io.damage import reading
from diffusionrig.io.files import atomic_path


def extract_member(archive: str | Path, member: str, target: str | Path) -> None:
    """Write the file called ``member`` of a zip archive to ``target``; RigError when it is absent or damaged."""
    with reading(archive, f"does not hold {member} in good order", "fetch it again"), zipfile.ZipFile(archive) as files, \
            files.open(member) as source, atomic_path(target) as temporary, open(temporary, "wb") as out:
        shutil.copyfileobj(source, out)
