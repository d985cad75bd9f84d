import pytest
import torch

from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.camera import image_points, pixels, project, to_frame
from diffusionrig.geometry.face_code import FaceCode, whole_frame_crop


def crop_example():
    """Landmarks spanning x 60..196, y 70..230 in a 256-pixel image: a square of 203 pixels about (128, 150)."""
    scale = 223 / 203
    return torch.tensor([[[scale, 0, -(128 - 101.5) * scale], [0, scale, -(150 - 101.5) * scale], [0, 0, 1]]],
                        dtype=torch.float64)


def test_projection_scales_after_the_shift_and_flips_y_and_z():
    points = torch.tensor([[[0.01, 0.02, 0.03], [-0.04, 0.0, -0.05]]], dtype=torch.float64)
    camera = torch.tensor([[8.0, 0.005, -0.01]], dtype=torch.float64)
    expected = torch.tensor([[[0.12, -0.08, -0.24], [-0.28, 0.08, 0.4]]], dtype=torch.float64)
    torch.testing.assert_close(project(points, camera), expected)


def test_crop_example_takes_the_centre_of_the_crop_to_its_place_in_the_image():
    frame = torch.tensor([[256.0, 256.0]], dtype=torch.float64)
    centre = to_frame(torch.zeros(1, 1, 3, dtype=torch.float64), crop_example(), frame)
    assert centre[0, 0, 0].item() == pytest.approx(2 * 128.45516 / 256 - 1, abs=1e-7)
    assert pixels(centre, 256, 256)[0, 0, 0].item() == pytest.approx(112 * 203 / 223 + 26.5, abs=1e-9)


def test_depth_passes_through_and_width_and_height_keep_apart():
    frame = torch.tensor([[200.0, 100.0]])
    points = to_frame(torch.tensor([[[0.5, -0.5, 0.7]]]), torch.eye(3)[None], frame)
    torch.testing.assert_close(points, torch.tensor([[[168 / 200 * 2 - 1, 56 / 100 * 2 - 1, 0.7]]]))


def test_rotated_crops_are_inverted_too():
    generator = torch.Generator().manual_seed(0)
    crop = torch.eye(3).repeat(4, 1, 1).double()
    crop[:, :2] += 0.2 * torch.randn(4, 2, 3, generator=generator, dtype=torch.float64)
    frame = torch.tensor([[300.0, 200.0]]).double().expand(4, -1)
    points = torch.rand(4, 6, 3, generator=generator, dtype=torch.float64) * 2 - 1
    whole = pixels(to_frame(points, crop, frame), 300, 200)
    back = whole @ crop[:, :2, :2].transpose(1, 2) + crop[:, None, :2, 2]
    torch.testing.assert_close(back, pixels(points, 224, 224))


def test_the_whole_frame_as_crop_changes_nothing():
    frame = torch.tensor([[256.0, 256.0], [640.0, 480.0]])
    points = torch.rand(2, 5, 3) * 2 - 1
    torch.testing.assert_close(to_frame(points, whole_frame_crop(frame), frame), points, rtol=0, atol=1e-6)


def test_pixels_count_from_the_left_and_top_edge():
    corners = torch.tensor([[-1.0, -1, 3], [1, 1, 3], [1 / 4 - 1, 3 / 4 - 1, 0]])
    torch.testing.assert_close(pixels(corners, 8, 4), torch.tensor([[0.0, 0], [8, 4], [1, 1.5]]))


def test_faces_of_a_batch_do_not_mix():
    generator = torch.Generator().manual_seed(1)
    crop = crop_example().float().repeat(3, 1, 1)
    crop[:, :2, 2] += torch.randn(3, 2, generator=generator)
    code = FaceCode(shape=torch.zeros(3, 1), albedo=torch.zeros(3, 1), expression=torch.zeros(3, 1),
                    pose=torch.zeros(3, 6), camera=torch.tensor([7.0, 0, 0]) + torch.rand(3, 3, generator=generator),
                    light=torch.zeros(3, 9, 3), head="any", crop=crop, frame=torch.tensor([[256.0, 200.0]] * 3))
    points = torch.randn(3, 50, 3, generator=generator) * 0.1
    together = image_points(points, code)
    assert torch.equal(together, torch.cat([image_points(points[i:i + 1], code[i]) for i in range(3)]))


def test_projection_is_differentiable_in_camera_crop_and_points():
    camera = torch.tensor([[7.0, 0.01, 0.02]], dtype=torch.float64, requires_grad=True)
    points = torch.rand(1, 4, 3, dtype=torch.float64, requires_grad=True)
    crop = crop_example().requires_grad_()
    frame = torch.tensor([[256.0, 256.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p, c, t: to_frame(project(p, c), t, frame), (points, camera, crop))


def test_ffhq_centre_lies_a_tenth_of_the_way_from_the_eyes_to_the_mouth():
    landmarks = torch.zeros(2, 68, 3)
    landmarks[:, 36:42] = torch.tensor([-3.0, 4, 1])
    landmarks[:, 42:48] = torch.tensor([5.0, 2, 1])
    landmarks[:, 48] = torch.tensor([-1.0, -7, 3])
    landmarks[:, 54] = torch.tensor([3.0, -7, 1])
    landmarks[1] += 10
    expected = torch.tensor([1.0, 2.0, 1.1])
    torch.testing.assert_close(ffhq_centre(landmarks), torch.stack([expected, expected + 10]))
