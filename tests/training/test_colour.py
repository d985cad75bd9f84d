import pytest
import torch

from diffusionrig.randomness import torch_stream
from diffusionrig.training.colour import CONTRAST_LIMIT, DRIFT_LIMIT, colour_drift, colour_statistics, drift_warning, lab
from diffusionrig.training.samples import Samples


def flat(*colour):
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 4, 4) * 2 - 1


@pytest.mark.parametrize(("colour", "expected"), [((1, 1, 1), (100, 0, 0)), ((1, 0, 0), (53.24, 80.09, 67.20)),
                                                  ((0.5, 0.5, 0.5), (53.39, 0, 0))])
def test_known_colours(colour, expected):
    assert lab(flat(*colour))[0, :, 0, 0].tolist() == pytest.approx(expected, abs=0.02)


def samples(change):
    photos = torch.rand(3, 3, 8, 8, generator=torch_stream(0, "photos")) * 0.8 - 0.4
    face = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    face[:, :, 2:6, 2:6] = True
    return Samples([0, 1, 2], photos, face, photos, change(photos.clone()))


def test_equal_pictures_have_no_drift():
    figures = colour_drift(samples(lambda photos: photos))
    assert figures["colour_drift"] == figures["colour_drift_face"] == 0
    assert figures["contrast"] == 1
    assert drift_warning(figures) == ""


def test_a_cast_over_the_face_alone_is_seen():
    def redden(photos):
        photos[:, 0, 2:6, 2:6] += 0.3
        return photos

    item = samples(redden)
    figures = colour_drift(item)
    face = item.face
    expected = (colour_statistics(item.drawn, face)[0] - colour_statistics(item.images, face)[0]).norm()
    assert figures["colour_drift_face"] == pytest.approx(float(expected))
    assert figures["colour_drift_face"] > DRIFT_LIMIT > figures["colour_drift"]
    assert figures["colour_mean_a"] > 0
    assert "WARNING" in drift_warning(figures)


def test_washed_out_pictures_are_seen():
    figures = colour_drift(samples(lambda photos: photos * 0.5))
    assert figures["contrast"] == pytest.approx(0.5, abs=0.05)
    assert abs(figures["contrast"] - 1) > CONTRAST_LIMIT
    assert f"{figures['contrast']:.2f} times its contrast" in drift_warning(figures)
