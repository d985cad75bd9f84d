import math

import numpy as np
import pytest

from diffusionrig.errors import RigError, UsageError
from diffusionrig.reactions.frames.prediction import read_mean_face, read_prediction


def coefficients(*shape: int) -> np.ndarray:
    array = np.random.default_rng(0).random((*shape, 58)).astype(np.float32) / 4
    array[..., 52] += math.pi
    return array


def test_every_shape_gives_samples_of_one_item(tmp_path):
    path = tmp_path / "p_3dmm.npy"
    for shape, item, wanted in (((4,), None, (1, 4)), ((4, 1), None, (1, 4)), ((3, 4), None, (3, 4)), ((2, 3, 4), 1, (3, 4))):
        array = coefficients(*shape)
        np.save(path, array)
        read = read_prediction(path, item)
        assert read.coefficients.shape == (*wanted, 58)
        assert read.emotion is None
        assert np.array_equal(read.coefficients, (array[1] if item else array).reshape(*wanted, 58))


def test_attributes_find_their_coefficients_and_the_other_way_round(tmp_path):
    np.save(tmp_path / "p.npy", np.zeros((3, 4, 25), np.float32))
    with pytest.raises(UsageError, match="react coefficients predict"):
        read_prediction(tmp_path / "p.npy")
    np.save(tmp_path / "p_3dmm.npy", coefficients(3, 4))
    for name in ("p.npy", "p_3dmm.npy"):
        read = read_prediction(tmp_path / name)
        assert (read.coefficients.shape, read.emotion.shape) == ((3, 4, 58), (3, 4, 25))
    np.save(tmp_path / "p.npy", np.zeros((2, 4, 25), np.float32))
    with pytest.raises(RigError, match=r"K=2 samples of T=4 frames, but .* K=3 of T=4"):
        read_prediction(tmp_path / "p.npy")


def test_the_mean_face_is_added_back_once_and_only_when_it_was_taken_off(tmp_path):
    path, mean = tmp_path / "p.npy", np.full(58, 0.25, np.float32)
    mean[52] = math.pi
    np.save(tmp_path / "mean_face.npy", mean)
    np.save(path, coefficients(4) - mean)
    read = read_prediction(path, None, read_mean_face(tmp_path / "mean_face.npy"), centred=True)
    np.testing.assert_allclose(read.coefficients[0], coefficients(4), atol=1e-6)
    with pytest.raises(UsageError, match="add it back with --centred True"):
        read_prediction(path)
    with pytest.raises(UsageError, match="give --mean_face or --data"):
        read_prediction(path, centred=True)
    np.save(path, coefficients(4))
    with pytest.raises(UsageError, match="leave --centred out"):
        read_prediction(path, None, mean, centred=True)


def test_bad_numbers_are_named_by_sample_frame_and_column(tmp_path):
    path, array = tmp_path / "p.npy", coefficients(2, 5)
    array[1, 3, 24] = np.nan
    np.save(path, array)
    with pytest.raises(RigError, match=r"p\.npy, sample 1, frame 3: value 24 \(jawOpen\) is nan; 1 values are not finite"):
        read_prediction(path)


@pytest.mark.parametrize(("array", "sentence"), [
    (np.zeros((4, 24), np.float32), "24 values a frame; frames of coefficients have 58, of attributes 25"),
    (np.zeros((4, 58), np.int32), "holds int32"),
    (np.zeros((1, 1, 2, 3, 58), np.float32), "has the shape"),
    (np.zeros((0, 58), np.float32), "holds no frames"),
    (np.float32(1), "0 values a frame"),
])
def test_other_arrays_are_one_sentence(tmp_path, array, sentence):
    np.save(tmp_path / "p.npy", array)
    with pytest.raises(RigError, match=sentence):
        read_prediction(tmp_path / "p.npy")


def test_an_item_must_be_chosen_and_exist(tmp_path):
    np.save(tmp_path / "p.npy", coefficients(2, 3, 4))
    with pytest.raises(UsageError, match="choose one with --item 0 to 1"):
        read_prediction(tmp_path / "p.npy")
    with pytest.raises(UsageError, match="--item 2 is not among 0 to 1"):
        read_prediction(tmp_path / "p.npy", 2)


def test_a_mean_face_of_another_width_is_refused(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros(52, np.float32))
    with pytest.raises(RigError, match="holds 52 values, but a mean face has 58"):
        read_mean_face(tmp_path / "m.npy")
