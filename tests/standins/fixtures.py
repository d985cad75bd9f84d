"""Folders of stand-ins, written once for a whole test session; do not change them, copy what you want to damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from standins import write_encoder_standins, write_head_standins, write_optional_standins


@pytest.fixture(scope="session")
def standin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of ``write_standins``: FLAME 2020 and its files, DECA, EMOCA v2, SMIRK."""
    folder = tmp_path_factory.mktemp("registered")
    write_head_standins(folder)
    write_encoder_standins(folder)
    return folder


@pytest.fixture(scope="session")
def standin_head_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLAME 2020 and its files only (some five seconds less)."""
    folder = tmp_path_factory.mktemp("registered-head")
    write_head_standins(folder)
    return folder


@pytest.fixture(scope="session")
def standin_optional_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLAME 2023 and FLAME_albedo_from_BFM.npz."""
    folder = tmp_path_factory.mktemp("registered-optional")
    write_optional_standins(folder)
    return folder
