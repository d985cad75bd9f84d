import numpy as np
import pytest
import torch
from seed_faces import MODEL, face_code, photo

from diffusionrig.editing.controls import Edit, parse_modes
from diffusionrig.editing.rig import Request, Rig, Sampling
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.io.checkpoints import load_checkpoint, save_checkpoint

QUICK = Sampling(respacing="ddim3", seed=1)


def requests(modes: str) -> list[Request]:
    return [Request(i, j, edit) for i in range(2) for j in range(2) for edit in parse_modes(modes)]


def test_a_picture_does_not_depend_on_what_is_drawn_beside_it(rig):
    sources, targets = rig.capture([photo(1), photo(2)]), rig.capture([photo(3), photo(4)])
    asked = requests("pose,exp+light,latent")
    alone = [r.image for r in rig.edit_many(sources, targets, asked, batch_size=1, sampling=QUICK)]
    together = [r.image for r in rig.edit_many(sources, targets, asked, batch_size=5, sampling=QUICK)]
    for one, other in zip(alone, together):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert len({image.tobytes() for image in alone}) == len(alone)


@pytest.mark.parametrize("solver", ["ddim", "ancestral"])
def test_the_seed_decides_the_picture(rig, solver):
    face = rig.capture(photo(1))
    buffers = rig.buffers(face.code, face.centre)
    first, again, other = (rig.draw(buffers, face.latent, Sampling("ddim3", solver, 0.5, True, seed)) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 1


def test_edits_keep_the_head_where_it_was_in_every_row_of_a_batch(rig):
    sources, targets = rig.capture([photo(1), photo(2)]), rig.capture([photo(3), photo(4)])
    results = list(rig.edit_many(sources, targets, requests("pose"), batch_size=4, sampling=QUICK))
    for result in results:
        source = sources[result.request.source]
        assert not torch.equal(result.code.pose[:, :3], source.code.pose[:, :3])
        alone = rig.buffers(result.code, source.centre)
        # float32 sums round by batch and number of threads.
        torch.testing.assert_close(result.buffers.stack(), alone.stack(), atol=1e-4, rtol=0)
        own = ffhq_centre(rig.head.landmarks(rig.head.vertices(result.code), result.code))
        assert (own - source.centre).abs().max() > 1e-4  # without the rule the head would have moved


def test_latent_changes_the_picture_but_not_the_buffers(rig):
    sources, targets = rig.capture(photo(1)), rig.capture(photo(3))
    plain, latent = rig.edit_many(sources, targets, [Request(0, None, Edit("reconstruction")),
                                                     Request(0, 0, Edit("latent", ("latent",)))], sampling=QUICK)
    assert torch.equal(plain.buffers.stack(), latent.buffers.stack())
    assert (plain.image != latent.image).any()


def test_sliders_act_without_a_target(rig):
    result = rig.edit(photo(1), sliders="jawOpen=0.9", sampling=QUICK)
    assert result.image.shape == (MODEL.image_size, MODEL.image_size, 3)
    assert result.code.expression[0, rig.head.expression_names.index("jawOpen")] == pytest.approx(0.9)


def test_a_mean_shape_replaces_the_shape_after_the_centre_was_taken(rig):
    captured = rig.capture(photo(1))
    rig.pretrained.mean_shape = face_code(9).shape
    person = rig.capture(photo(1))
    assert torch.equal(person.code.shape, face_code(9).shape)
    torch.testing.assert_close(person.centre, captured.centre)


def test_faces_that_were_not_found_are_not_edited(rig):
    absent = rig.capture(photo(255))
    assert not bool(absent.found[0])
    with pytest.raises(RigError, match="No face was found"):
        rig.edit(absent, sliders="yaw=10", sampling=QUICK)
    with pytest.raises(UsageError, match="needs a target"):
        list(rig.edit_many(rig.capture(photo(1)), None, [Request(0, None, parse_modes("exp")[0])], sampling=QUICK))


def test_another_edition_of_the_head_is_refused(checkpoint, tmp_path):
    tensors, meta = load_checkpoint(checkpoint)
    meta["head"]["hash"] = "0" * 64
    save_checkpoint(tmp_path / "other.safetensors", tensors, meta)
    with pytest.raises(RigError, match="another edition of the head"):
        Rig.from_pretrained(tmp_path / "other.safetensors", device="cpu")


def test_missing_and_misshapen_tensors_are_named(checkpoint, tmp_path):
    tensors, meta = load_checkpoint(checkpoint)
    tensors.pop("denoisingUNet.out.0.weight")
    save_checkpoint(tmp_path / "hole.safetensors", tensors, meta)
    with pytest.raises(RigError, match=r"denoisingUNet\.out\.0\.weight"):
        Rig.from_pretrained(tmp_path / "hole.safetensors", device="cpu")
