"""One photograph of a person: expression, pose, light, camera, and what stands behind them."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import Tensor

from diffusionrig.data.synthetic.anatomy import study
from diffusionrig.data.synthetic.expressions import sample_expression
from diffusionrig.data.synthetic.framing import framing_camera, upright_rotation
from diffusionrig.data.synthetic.lens import Lens, sample_lens
from diffusionrig.data.synthetic.lighting import sample_light
from diffusionrig.data.synthetic.people import Colour, Person, require_arkit
from diffusionrig.errors import RigError, UsageError
from diffusionrig.geometry.alignment import ffhq_centre
from diffusionrig.geometry.face_code import FaceCode
from diffusionrig.geometry.head import HeadModel
from diffusionrig.geometry.rotations import euler_degrees_to_axis_angle
from diffusionrig.randomness import numpy_stream, stream_seed


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """One photograph of one person.

    code            the true FaceCode (batch 1), whole image as its crop
    centre          (1, 3) FFHQ centre of the sampled code, metres; an edited code keeps it, as editing does
    backdrop_seed   the picture behind the head
    noise_seed      grain of the sensor
    cloth_colours   main and second colour of the clothes
    lens            the camera
    """

    code: FaceCode
    centre: Tensor
    backdrop_seed: int
    noise_seed: int
    cloth_colours: tuple[Colour, Colour]
    lens: Lens

    def replace_code(self, code: FaceCode) -> Scene:
        """The same person, clothes, background and camera with an edited ``code`` (batch 1): the true result of an edit.

        The head stays where the source had its FFHQ centre, as in ``render_buffers(..., centre=scene.centre)``.
        """
        if len(code) != 1 or code.head != self.code.head:
            raise RigError(f"A scene takes one face code of the head model {self.code.head!r}; it was given {len(code)} "
                           f"of {code.head!r}.")
        return dataclasses.replace(self, code=code)


def sample_scene(person: Person, seed: int, index: int, head: HeadModel, *, yaw_limit: float = 40.0,
                 neutral: bool = False) -> Scene:
    """Photograph number ``index`` of ``person`` in the series ``seed``; always the same for the same arguments.

    Yaw is normal with 18 degrees, at most ``yaw_limit``; pitch stays within 20 degrees. The head is framed by its own
    landmarks as FFHQ alignment would frame it, up to the errors of a landmark detector, so little roll is left (2.5
    degrees, at most 12). ``neutral`` gives a relaxed face looking at the camera (pose and light still vary).
    """
    require_arkit(head)
    if not 0 <= yaw_limit <= 90:
        raise UsageError(f"The yaw limit is {yaw_limit} degrees; it must lie between 0 and 90.")
    keys = (seed, "synthetic photograph", person.seed, person.index, index)
    face, place, light = (numpy_stream(*keys, purpose) for purpose in ("expression", "pose", "light"))
    weights, eyes = sample_expression(face, head.expression_names)
    if neutral:
        weights, eyes = np.zeros_like(weights), np.zeros_like(eyes)
    yaw = float(np.clip(place.normal(0.0, 18.0), -yaw_limit, yaw_limit))
    pitch = float(np.clip(place.normal(1.0, 7.5), -20.0, 20.0))
    roll = float(np.clip(place.normal(0.0, 2.5), -12.0, 12.0))
    pose = torch.zeros(1, 6)
    pose[0, :3] = euler_degrees_to_axis_angle(pitch, yaw, 0.0)
    tones = study(head).tone
    tone = float((person.albedo[0].numpy() @ tones[:-1] + tones[-1]).mean().clip(0.1, 0.9))
    code = FaceCode(shape=person.shape, albedo=person.albedo, expression=torch.from_numpy(weights)[None], pose=pose,
                    camera=torch.tensor([[7.0, 0.0, 0.0]]), light=torch.from_numpy(sample_light(light, tone))[None],
                    head=head.name, eyes=torch.from_numpy(eyes)[None])
    landmarks = head.landmarks(head.vertices(code), code)
    pose = torch.cat([upright_rotation(pose[:, :3], landmarks, torch.tensor([np.deg2rad(roll)])), pose[:, 3:]], 1).float()
    code = code.replace(pose=pose)
    landmarks = head.landmarks(head.vertices(code), code)
    zoom = torch.tensor([np.exp(place.normal(0.0, 0.015))])
    shift = torch.from_numpy(place.normal(0.0, 0.008, (1, 2)))
    code = code.replace(camera=framing_camera(landmarks, zoom.float(), shift.float()))
    look = numpy_stream(*keys, "look")
    return Scene(code, ffhq_centre(landmarks), stream_seed(*keys, "backdrop"), stream_seed(*keys, "noise"),
                 (_cloth_colour(look), _cloth_colour(look)), sample_lens(look))


def _cloth_colour(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0.04, 0.85)
    colour = np.clip(grey + rng.uniform(0.0, 0.25) * rng.standard_normal(3), 0.03, 0.92)
    return tuple(map(float, colour))  # type: ignore[return-value]
