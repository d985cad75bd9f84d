"""The person and what is behind: on pictures whose layers are known."""

import torch

from diffusionrig.render.layers import END, split_layers

SIZE = 128


def scene(hair: bool = True, backdrop: float = 0.5) -> tuple[torch.Tensor, torch.Tensor]:
    """A dark disc of hair around a skin-coloured head on an even backdrop: photograph and the head's alpha."""
    axis = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    away = torch.hypot(axis[:, None], axis[None])
    alpha = (away < 0.25).float()[None, None]
    photo = torch.full((1, 3, SIZE, SIZE), backdrop)
    if hair:
        photo[:, :, away < 0.32] = -0.8
    photo[:, :, away < 0.25] = 0.1
    return photo, alpha


def test_hair_around_the_head_belongs_to_the_person_and_the_backdrop_does_not():
    photo, alpha = scene()
    layers = split_layers(photo, alpha)
    person, behind = layers[:, 3], layers[:, :3]
    assert person[0, 64, 64 + round(0.30 * SIZE)] > 0.9  # in the hair
    assert person[0, 64, 64 + round(0.36 * SIZE)] < 0.05  # beyond it
    assert person[0, 64, 64] == 1
    assert 0 <= float(person.min()) <= float(person.max()) <= 1
    assert float((behind - 0.5).abs().max()) < 0.02  # neither hair nor head shine through


def test_without_hair_the_person_is_the_head_even_where_the_mesh_is_too_large():
    photo, _ = scene(hair=False)
    axis = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    mesh = (torch.hypot(axis[:, None], axis[None]) < 0.28).float()[None, None]
    person = split_layers(photo, mesh)[0, 3]
    assert person[64, 64 + round(0.23 * SIZE)] > 0.9
    assert person[64, 64 + round(0.275 * SIZE)] < 0.1  # mesh, but the photograph shows the backdrop


def test_what_is_far_from_the_head_or_apart_from_it_is_behind():
    photo, alpha = scene()
    photo[..., :8] = -0.8  # a dark post at the picture's border, 0.18 away from the hair
    person = split_layers(photo, alpha)[0, 3]
    assert float(person[:, :6].max()) < 0.1
    reach = round((0.25 + END) * SIZE)
    assert float(person[64, 64 + reach:].max() if 64 + reach < SIZE else 0) < 0.05


def test_a_head_that_fills_the_picture_has_all_around_it():
    photo, _ = scene()
    alpha = torch.ones(1, 1, SIZE, SIZE)
    alpha[..., :4, :] = 0
    layers = split_layers(photo, alpha)
    assert torch.isfinite(layers).all()
    assert float(layers[0, 3, 1].min()) > 0.9


def test_batches_and_finer_photographs_give_the_same():
    photo, alpha = scene()
    fine = torch.nn.functional.interpolate(photo, scale_factor=3, mode="nearest")
    once, both = split_layers(photo, alpha), split_layers(torch.cat([photo, photo * 0.5]), torch.cat([alpha, alpha]))
    torch.testing.assert_close(both[:1], once)
    torch.testing.assert_close(split_layers(fine, alpha), once, atol=1e-5, rtol=0)
