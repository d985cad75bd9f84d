"""Folders of stand-ins, written once for a whole test session; do not change them, copy what you want to damage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from standins import write_encoder_standins, write_head_standins, write_optional_standins


def _written(factory: pytest.TempPathFactory, name: str, *writers: Callable[[Path], None]) -> Iterator[Path]:
    folder = factory.mktemp(name)
    for write in writers:
        write(folder)
    yield folder
    # Some 700 MB, of which pytest would keep the last three.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def standin_folder(standin_head_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Everything of ``write_standins``: FLAME 2020 and its files, DECA, EMOCA v2, SMIRK."""
    def linked(folder: Path) -> None:
        for file in standin_head_folder.iterdir():
            os.link(file, folder / file.name)

    yield from _written(tmp_path_factory, "registered", linked, write_encoder_standins)


@pytest.fixture(scope="session")
def standin_head_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FLAME 2020 and its files only (some three seconds less)."""
    yield from _written(tmp_path_factory, "registered-head", write_head_standins)


@pytest.fixture(scope="session")
def standin_optional_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FLAME 2023 and FLAME_albedo_from_BFM.npz."""
    yield from _written(tmp_path_factory, "registered-optional", write_optional_standins)
