import numpy as np

from diffusionrig.io.sheets import contact_sheet, to_uint8


def test_cells_show_their_images_unsmoothed_where_enlarged():
    dark, light = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)
    sheet = contact_sheet([[dark, light], [light]], cell=96)
    assert sheet.dtype == np.uint8
    values = {tuple(pixel) for pixel in sheet.reshape(-1, 3)}
    assert {(0, 0, 0), (200, 200, 200)} <= values
    assert len(values) == 3  # the paper besides
    assert sheet[50, 50].tolist() == [0, 0, 0]
    assert sheet[50, 150].tolist() == [200, 200, 200]
    assert sheet[150, 50].tolist() == [200, 200, 200]


def test_titles_get_room_of_their_own():
    image = np.zeros((96, 96, 3), np.uint8)
    plain = contact_sheet([[image]])
    titled = contact_sheet([[image]], ["result"], ["0_exp"])
    assert titled.shape[0] > plain.shape[0]
    assert titled.shape[1] > plain.shape[1]


def test_floats_are_rounded_and_clipped_not_wrapped():
    image = np.array([-0.5, 0.0, 0.5, 1.0, 1.7]).reshape(1, 1, 5).repeat(3, 0)
    assert to_uint8(image)[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    assert to_uint8(image, -1, 1)[0, :, 0].tolist() == [64, 128, 191, 255, 255]
