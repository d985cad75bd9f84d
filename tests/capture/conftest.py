"""Photographs with known codes, and one encoder for all tests of this folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diffusionrig.capture.fit.encoder import FitEncoder
from diffusionrig.data.synthetic.people import sample_person
from diffusionrig.data.synthetic.photographs import render_photographs
from diffusionrig.data.synthetic.scenes import sample_scene
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.heads import load_head
from diffusionrig.io.images import read_image
from diffusionrig.io.resize import resize_square

FACES = 6


@pytest.fixture(scope="session")
def encoder() -> FitEncoder:
    return FitEncoder(load_head())


@pytest.fixture(scope="session")
def photographs() -> tuple[list[np.ndarray], FaceCode]:
    """A few synthetic photographs of different people, 256 pixels, and their true codes."""
    head = load_head()
    people = [sample_person(77, i, head) for i in range(FACES)]
    scenes = [sample_scene(person, 77, 0, head, yaw_limit=30) for person in people]
    images = render_photographs(people, scenes, head, 256)
    return images, FaceCode.concatenate([scene.code for scene in scenes])


@pytest.fixture(scope="session")
def person() -> np.ndarray:
    """The portrait that ships, 256 pixels."""
    return resize_square(read_image("diffusionrig/assets/portrait.jpg"), 256)


@pytest.fixture(scope="session")
def other() -> np.ndarray:
    """Somebody else, nearly from the front."""
    head = load_head()
    who = sample_person(78, 3, head)
    return render_photographs([who], [sample_scene(who, 78, 0, head, yaw_limit=10, neutral=True)], head, 256)[0]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
