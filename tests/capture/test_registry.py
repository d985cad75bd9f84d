"""Encoders by name, and the sentences for those that cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffusionrig.capture.encoder import EncoderOptions
from diffusionrig.capture.registry import (
    available_encoders,
    best_encoder,
    encoder_names,
    make_encoder,
    makes_codes_of,
    usual_head,
)
from diffusionrig.errors import RigError, UsageError


@pytest.fixture(autouse=True)
def empty_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIFFUSIONRIG_DATA", str(tmp_path))
    return tmp_path


def test_fit_is_the_best_without_registered_files() -> None:
    assert encoder_names() == ("DECA", "EMOCA", "SMIRK", "FIT")
    reasons = available_encoders()
    assert [name for name, reason in reasons.items() if not reason] == ["FIT"]
    assert best_encoder() == "FIT"


@pytest.mark.parametrize(("name", "words"), [
    ("DECA", ["deca_model.tar", "generic_model.pkl", "deca.is.tue.mpg.de", "flame.is.tue.mpg.de", "DIFFUSIONRIG_DATA"]),
    ("emoca", ["emoca/EMOCA_v2_lr_mse_20/cfg.yaml", "generic_model.pkl", "emoca.is.tue.mpg.de"]),
])
def test_absent_files_are_named_with_where_to_get_them(name: str, words: list[str], empty_data_folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        make_encoder(name)
    for word in [*words, str(empty_data_folder)]:
        assert word in str(caught.value)


def test_only_the_missing_files_are_named(empty_data_folder: Path) -> None:
    (empty_data_folder / "deca_model.tar").write_bytes(b"x")
    assert "deca_model.tar" not in available_encoders()["DECA"]


def test_present_files_are_not_said_to_be_missing_but_read(empty_data_folder: Path) -> None:
    for name in ("deca_model.tar", "generic_model.pkl", "landmark_embedding.npy", "head_template.obj", "FLAME_texture.npz"):
        (empty_data_folder / name).write_bytes(b"x")
    assert available_encoders()["DECA"] == ""
    with pytest.raises(RigError, match=str(empty_data_folder)):
        make_encoder("DECA")


def test_the_best_encoder_knows_the_head() -> None:
    assert best_encoder("open-head-1") == "FIT"
    assert usual_head("fit") == "open-head-1"
    assert {usual_head(name) for name in ("DECA", "EMOCA", "SMIRK")} == {"flame-2020"}
    assert makes_codes_of("DECA", "flame-2020-bfm")
    assert not makes_codes_of("DECA", "flame-2023")
    assert makes_codes_of("FIT", "flame-2023")


def test_fit_has_landmarks_of_its_own() -> None:
    with pytest.raises(UsageError, match="FIT needs the dense landmarks of mediapipe"):
        make_encoder("FIT", device="cpu", options=EncoderOptions(landmarks="fan"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'DEKA'; choose one of DECA, EMOCA, SMIRK, FIT"):
        make_encoder("DEKA")
