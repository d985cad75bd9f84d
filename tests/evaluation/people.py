"""A synthetic person in one place before one camera: photographs whose true edits are known."""

import functools

import cv2
import numpy as np

from diffusionrig.data.synthetic import render_photographs, sample_person, sample_scene
from diffusionrig.geometry.heads import load_head

SIDE = 224


@functools.cache
def portraits(index: int = 3, others: tuple[int, ...] = (1, 2), parts: tuple[str, ...] = ("pose", "exp")) -> list[np.ndarray]:
    """The person ``index`` of a crowd, then the same scene with ``parts`` of the person's other scenes: true edits."""
    head = load_head()
    person = sample_person(5, index, head)
    scene = sample_scene(person, 5, 0, head)
    scenes = [scene]
    for other in others:
        code = scene.code
        for part in parts:
            code = code.swap(part, sample_scene(person, 5, other, head).code)
        scenes.append(scene.replace_code(code))
    return render_photographs([person] * len(scenes), scenes, head, SIDE)


def moved(image: np.ndarray, scale: float = 1.0, turn: float = 0.0, shift: tuple[float, float] = (0.0, 0.0),
          size: tuple[int, int] = (480, 400)) -> np.ndarray:
    """The picture in the middle of a larger one, then scaled, turned (degrees, anticlockwise) and shifted about its centre."""
    width, height = size
    matrix = cv2.getRotationMatrix2D(((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2), turn, scale)
    matrix[:, 2] += np.array([(width - image.shape[1]) / 2 + shift[0], (height - image.shape[0]) / 2 + shift[1]])
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
