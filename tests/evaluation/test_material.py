import numpy as np
import pytest
import torch
from PIL import Image
from seed_faces import photo

from diffusionrig.data.synthetic.series import Series, write_series
from diffusionrig.errors import RigError, UsageError
from diffusionrig.evaluation.material import _ring, find_material


@pytest.mark.parametrize(("total", "count"), [(2, 5), (3, 9), (8, 3), (7, 7)])
def test_no_pair_repeats_and_nobody_meets_themselves(total, count):
    pairs = _ring(total, count)
    assert 1 <= len(pairs) <= count
    assert len(set(pairs)) == len(pairs)
    assert all(i != j and 0 <= i < total and 0 <= j < total for i, j in pairs)


def test_synthetic_people_bring_true_codes_and_the_truth(rig):
    material = find_material(rig, "", 2, seed=4)
    assert material.names == [("person 0", "person 1"), ("person 2", "person 3")]
    assert material.about["codes"] == "true"
    truth = material.truth(1, ["pose"])
    again = find_material(rig, "", 2, seed=4).truth(1, ["pose"])
    assert truth.image.shape == (rig.size, rig.size, 3)
    assert (truth.image == again.image).all()
    assert 0.05 < truth.face.mean() < 0.7
    source = ((material.sources.images[1].permute(1, 2, 0).numpy() + 1) * 127.5).round()
    unchanged = material.truth(1, [])
    assert np.abs(unchanged.image - source).max() <= 1
    assert np.abs(truth.image - source).max() > 20
    assert not torch.equal(material.sources.code[0].shape, material.targets.code[0].shape)


def test_a_folder_is_captured_and_what_cannot_be_used_is_told(rig, tmp_path):
    for seed in (1, 2, 3):
        Image.fromarray(photo(seed)).save(tmp_path / f"{seed}.png")
    Image.fromarray(photo(255)).save(tmp_path / "faceless.png")
    (tmp_path / "broken.png").write_bytes(b"")
    material = find_material(rig, str(tmp_path), 5, seed=0)
    assert material.truth is None
    assert material.about["codes"] == "captured"
    assert 1 <= len(material) <= 5
    assert {name for pair in material.names for name in pair} <= {"1.png", "2.png", "3.png"}
    assert any("broken.png is empty" in note for note in material.left_out)
    assert any(note.startswith("faceless.png: no face") for note in material.left_out)


def test_a_store_brings_its_codes(rig, tmp_path):
    write_series(Series(3, 32, 1), tmp_path, lmdb=True)
    material = find_material(rig, str(tmp_path), 2, seed=0)
    assert material.about["codes"] == "stored"
    assert material.about["codes_by"] == "synth"
    assert len(material) == 2


def test_too_little_is_refused(rig, tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        find_material(rig, str(tmp_path / "nowhere"), 2, 0)
    Image.fromarray(photo(1)).save(tmp_path / "1.png")
    with pytest.raises(UsageError, match="two photographs or more"):
        find_material(rig, str(tmp_path), 2, 0)
    Image.fromarray(photo(255)).save(tmp_path / "2.png")
    with pytest.raises(RigError, match=r"No pair of faces.*2\.png: no face"):
        find_material(rig, str(tmp_path), 2, 0)
