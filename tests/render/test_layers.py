"""The person and what is behind: on pictures whose layers are known."""

import torch

from diffusionrig.render.layers import split_layers

SIZE = 128


def disc(radius: float, x: float = 0.0) -> torch.Tensor:
    """(1, 1, S, S): 1 within ``radius`` of (``x``, 0), in picture widths from the middle."""
    axis = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    return (torch.hypot(axis[:, None], axis[None] - x) < radius).float()[None, None]


def scene() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A dark disc of hair around a skin-coloured head on an even backdrop: photograph, the head's alpha, matte."""
    alpha, matte = disc(0.25), disc(0.32)
    photo = torch.where(alpha > 0, 0.1, torch.where(matte > 0, -0.8, 0.5)).expand(1, 3, SIZE, SIZE).clone()
    return photo, alpha, matte


def test_hair_belongs_to_the_person_and_the_backdrop_does_not():
    layers = split_layers(*scene())
    person, behind = layers[:, 3], layers[:, :3]
    assert person[0, 64, 64 + round(0.30 * SIZE)] > 0.9  # in the hair
    assert person[0, 64, 64 + round(0.36 * SIZE)] == 0  # beyond it
    assert person[0, 64, 64] == 1
    assert 0 <= float(person.min()) <= float(person.max()) <= 1
    assert float((behind - 0.5).abs().max()) < 0.02  # neither hair nor head shine through


def test_the_rim_of_a_mesh_that_is_too_large_is_not_the_person():
    photo, _, _ = scene()
    person = split_layers(photo, disc(0.28), disc(0.25))[0, 3]
    assert person[64, 64 + round(0.23 * SIZE)] > 0.9
    assert person[64, 64 + round(0.275 * SIZE)] == 0


def test_the_head_is_the_person_even_where_the_matte_misses_it():
    photo, alpha, matte = scene()
    assert split_layers(photo, alpha, torch.zeros_like(matte))[0, 3, 64, 64] == 1


def test_other_people_are_behind():
    photo, alpha, matte = scene()
    person = split_layers(photo, alpha, torch.maximum(matte, disc(0.06, 0.42)))[0, 3]
    assert float(person[:, 64 + round(0.38 * SIZE):].max()) == 0
    assert person[64, 64 + round(0.30 * SIZE)] > 0.9


def test_a_person_who_fills_the_picture_leaves_nothing_behind():
    photo, alpha, matte = scene()
    layers = split_layers(photo, alpha, torch.ones_like(matte))
    assert torch.isfinite(layers).all()
    assert float(layers[0, 3].min()) == 1


def test_batches_and_finer_photographs_give_the_same():
    photo, alpha, matte = scene()
    fine, wide = (torch.nn.functional.interpolate(layer, scale_factor=3, mode="nearest") for layer in (photo, matte))
    once = split_layers(photo, alpha, matte)
    both = split_layers(torch.cat([photo, photo * 0.5]), torch.cat([alpha, alpha]), torch.cat([matte, matte]))
    torch.testing.assert_close(both[:1], once)
    torch.testing.assert_close(split_layers(fine, alpha, wide), once, atol=1e-5, rtol=0)
