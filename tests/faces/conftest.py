"""The NASA portrait that scikit-image carries: one smiling face of about 109 pixels in a 512-pixel picture."""

import cv2
import numpy as np
import pytest

from diffusionrig.faces.landmarker import FaceLandmarker


@pytest.fixture(scope="session")
def portrait():
    from skimage import data

    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def landmarker():
    return FaceLandmarker()


@pytest.fixture(scope="session")
def face(portrait, landmarker):
    found = landmarker.detect(portrait)
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="session")
def head(portrait):
    """The head alone, 200 x 200: quick to look through, the face fills half of it."""
    return np.ascontiguousarray(portrait[10:210, 125:325])


@pytest.fixture(scope="session")
def scene():
    """A picture without faces: soft coloured structure of many sizes, the same each time."""

    def make(height, width):
        stream = np.random.default_rng(7)
        total = np.zeros((height, width, 3), np.float32)
        for cells in (3, 9, 30, 90):
            total += cv2.resize(stream.random((cells, cells, 3), np.float32), (width, height)) / 4
        return (total * 255).astype(np.uint8)

    return make
