"""A person's skin beyond the head model's albedo: pores, freckles, moles, folds, brow hairs, stubble, make-up.

Everything is drawn once per person into a map over the head's texture, so it moves with the face.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import cv2
import numpy as np

from diffusionrig.data.synthetic.anatomy import Anatomy
from diffusionrig.data.synthetic.backdrop import smooth_noise
from diffusionrig.data.synthetic.people import Colour, Person
from diffusionrig.data.synthetic.skull import hairline

Array = np.ndarray


def _near(position: Array, centre: Array, width: tuple[float, float]) -> Array:
    """Gaussian bump over the front of the face, ``width`` in metres across and up."""
    x, y = (position[..., 0] - centre[0]) / width[0], (position[..., 1] - centre[1]) / width[1]
    return np.exp(-0.5 * (x * x + y * y)) * (position[..., 2] > centre[2] - 0.07)


def _beside(points: Array, across: float, up: float) -> Array:
    """``points`` (..., 3) moved towards the subject's left and up, metres."""
    return points + np.array([across, up, 0.0])


@dataclasses.dataclass(frozen=True, eq=False)
class Zones:
    """Where on the texture things happen, for all people alike: maps (T, T) of 0..1 unless said otherwise.

    position (T, T, 3) on the mean head; skin (T, T) bool, a texel inside its edge; gloss of bare skin; ruddy cheeks and
    nose; under the eyes; lids; lips; beard; scalp: height above the mean hairline (metres) and how much that line follows a
    ``shift`` of the front and the ``receding`` of the temples; places (N, 2) rows and columns of the front's skin with the
    chance of a freckle (N,).
    """

    position: Array
    skin: Array
    gloss: Array
    ruddy: Array
    under: Array
    lids: Array
    lips: Array
    beard: Array
    scalp: tuple[Array, Array, Array]
    places: Array
    freckled: Array


@lru_cache(maxsize=4)
def find_zones(anatomy: Anatomy, size: int) -> Zones:
    """The zones of a head for maps of ``size``, which divides the anatomy's map."""
    step = anatomy.position.shape[0] // size
    position, texels, points = anatomy.position[::step, ::step], anatomy.skin_texels[::step, ::step], anatomy.points
    gloss = np.full((size, size), 0.35)
    ruddy, under, lids = _near(position, points[30], (0.012, 0.012)), np.zeros((size, size)), np.zeros((size, size))
    for lid, side in ((slice(36, 42), -1), (slice(42, 48), 1)):
        eye = points[lid].mean(0)
        ruddy += _near(position, _beside(eye, side * 0.010, -0.036), (0.018, 0.015))
        under += _near(position, _beside(eye, 0.0, -0.013), (0.014, 0.005))
        gloss += 0.35 * _near(position, _beside(eye, side * 0.016, -0.024), (0.015, 0.010))
        lids += _near(position, _beside(eye, 0.0, 0.009), (0.013, 0.004))
    gloss += 0.45 * _near(position, _beside(points[27], 0.0, 0.045), (0.03, 0.018))
    gloss += 0.55 * _near(position, _beside(points[30], 0.0, 0.006), (0.009, 0.014))
    gloss += 0.30 * _near(position, points[8], (0.012, 0.010))
    lips: Array = np.zeros((size, size), np.float32)
    cv2.fillPoly(lips, [np.rint(anatomy.texels(points[48:60], size)).astype(np.int32)], 1.0)
    cv2.fillPoly(lips, [np.rint(anatomy.texels(points[60:68], size)).astype(np.int32)], 0.0)
    lips = cv2.GaussianBlur(lips, (0, 0), 1.5 * size / 512 + 0.3)

    offset = position - anatomy.rays.centre
    azimuth = np.rad2deg(np.arctan2(offset[..., 0], offset[..., 2]))
    face = (float(points[17:27, 1].max()), float(points[36:48, 1].mean()), float(points[33, 1]))
    line = hairline(azimuth, face, 0.0, 0.0)
    scalp = (np.where(texels, position[..., 1] - line, -1.0), hairline(azimuth, face, 1.0, 0.0) - line,
             hairline(azimuth, face, 0.0, 1.0) - line)
    rows, columns = np.nonzero(texels & (position[..., 2] > points[36:48, 2].mean() - 0.05))
    there = position[rows, columns]
    freckled = np.exp(-0.5 * ((there[:, 1] - points[29, 1]) / 0.016) ** 2 - 0.5 * (there[:, 0] / 0.034) ** 2)
    maps: list[Array] = [layer.astype(np.float32) for layer in (gloss, ruddy, under, lids, beard_zone(position, points))]
    inside = cv2.erode(texels.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    rise, front, temples = (layer.astype(np.float32) for layer in scalp)
    return Zones(position, inside, maps[0], maps[1], maps[2], maps[3], lips, maps[4], (rise, front, temples),
                 np.stack([rows, columns], 1), freckled / freckled.sum())


class SkinMap:
    """Draws the map (size, size, 4): factors of red, green, blue, and gloss."""

    def __init__(self, anatomy: Anatomy, person: Person, size: int) -> None:
        self.anatomy, self.person, self.size, self.zones = anatomy, person, size, find_zones(anatomy, size)
        self.rng = np.random.default_rng(person.skin.seed)
        self.factor = np.ones((size, size, 3), np.float32)
        self.gloss = self.zones.gloss.copy()

    def texel(self, points: Array) -> Array:
        """Column and row (N, 2) float32 of the texels in front of ``points`` (N, 3)."""
        return self.anatomy.texels(points, self.size).astype(np.float32)

    def tint(self, amount: Array, colour: Colour) -> None:
        """Multiply by ``colour`` where ``amount`` (size, size) is 1."""
        for channel, value in enumerate(colour):
            self.factor[..., channel] *= 1 + amount * np.float32(value - 1)

    def complexion(self) -> None:
        """Large and small unevenness, pores, ruddy nose and cheeks, shadows under the eyes."""
        skin, zones, size = self.person.skin, self.zones, self.size
        coarse, fine = smooth_noise(self.rng, 9, size)[..., 0], smooth_noise(self.rng, 40, size)[..., 0]
        mix = coarse + 0.7 * fine
        pores = np.minimum(self.rng.standard_normal((size, size), dtype=np.float32), 0.8) * np.float32(0.028 * skin.pores)
        for channel, amount in enumerate((0.012, 0.022, 0.020)):
            self.factor[..., channel] += np.float32(amount * skin.blotches) * mix + pores
        self.tint(zones.under * (0.10 + 0.25 * skin.age), (0.75, 0.68, 0.72))
        self.tint(zones.ruddy * (0.5 * skin.blotches), (1.0, 0.86, 0.86))

    def spots(self) -> None:
        """Freckles over nose and cheeks, moles anywhere on the front."""
        skin, zones, unit = self.person.skin, self.zones, self.size / 512
        layer = np.zeros((self.size, self.size), np.float32)
        freckles = self.rng.choice(len(zones.places), size=int(220 * skin.freckles), p=zones.freckled)
        moles = self.rng.choice(len(zones.places), size=skin.moles)
        for chosen, dark, wide in ((freckles, (0.25, 0.6), (0.5, 1.1)), (moles, (0.5, 0.9), (0.9, 1.7))):
            for place in chosen:
                row, column = (int(value) for value in zones.places[place])
                cv2.circle(layer, (column * 16, row * 16), max(1, round(16 * unit * self.rng.uniform(*wide))),
                           float(self.rng.uniform(*dark)), -1, cv2.LINE_AA, 4)
        if len(freckles) + len(moles):
            self.tint(cv2.GaussianBlur(layer, (0, 0), 0.6 * unit), (0.62, 0.48, 0.40))

    def lines(self) -> None:
        """Folds that come with age: across the forehead, from nose to mouth, beside the eyes."""
        age, points, unit = self.person.skin.age, self.anatomy.points, self.size / 512
        layer = np.zeros((self.size, self.size), np.float32)

        def stroke(path: Array, depth: float) -> None:
            texels = np.rint(self.texel(path) * 16).astype(np.int32)
            # Paths that would cross a seam of the texture are left out.
            if np.linalg.norm(np.diff(texels, axis=0), axis=1).max() < 16 * 40 * unit:
                fresh = np.zeros_like(layer)
                cv2.polylines(fresh, [texels], False, depth, max(1, round(1.5 * unit)), cv2.LINE_AA, 4)
                np.maximum(layer, fresh, out=layer)

        for order in range(3):
            x = np.linspace(-0.032, 0.032, 12)
            y = points[17:27, 1].max() + 0.014 + 0.011 * order + 0.003 * np.cos(x / 0.02) + self.rng.normal(0, 0.0006, 12)
            stroke(np.stack([x, y, np.full(12, points[27, 2])], 1), max(0.0, age - 0.25) * self.rng.uniform(0.3, 0.9))
        for wing, corner in ((31, 48), (35, 54)):
            side = np.sign(points[corner, 0])
            start = points[wing] + [side * 0.005, 0.004, 0.0]
            end = points[corner] + [side * 0.007, -0.004, 0.0]
            t = np.linspace(0, 1, 9)[:, None]
            path = start + t * (end - start) + np.sin(np.pi * t) * np.array([side * 0.003, 0, 0])
            stroke(path, 0.25 + 0.6 * age)
        for corner in (36, 45):
            side = np.sign(points[corner, 0])
            for tilt in (-0.5, 0.0, 0.45):
                t = np.linspace(0.006, 0.018, 5)[:, None]
                stroke(points[corner] + t * np.array([side, tilt, -0.4]), max(0.0, age - 0.35) * 0.8)
        soft = cv2.GaussianBlur(layer, (0, 0), 1.3 * unit)
        self.tint(np.minimum(soft * 1.2, 1.0) * 0.45, (0.72, 0.62, 0.60))

    def brows(self) -> None:
        """Single hairs along both brows, in the colour of the hair."""
        unit, strength = self.size / 512, self.person.skin.brow_strength
        layer = np.zeros((self.size, self.size), np.float32)
        for rows in (range(17, 22), range(26, 21, -1)):
            brow = self.anatomy.points[list(rows)]  # outer end first
            brow = _beside(brow, 0.0, -0.0015)
            texels = self.texel(np.concatenate([brow, _beside(brow, 0.0, 0.004)]))
            line, up = texels[:5], (texels[5:] - texels[:5]) / 0.004  # texels per metre upwards
            t = np.linspace(0.0, 3.98, 150) + self.rng.uniform(-0.02, 0.02, 150).clip(0)
            k = np.minimum(t.astype(int), 3)
            part = (t - k)[:, None]
            upward = (1 - part) * up[k] + part * up[k + 1]
            outward = (line[:-1] - line[1:])[k] / np.linalg.norm(brow[:-1] - brow[1:], axis=1)[k, None]
            thick = 0.0032 * np.sin(np.pi * np.clip(0.18 + t / 4.6, 0, 1))
            root = (1 - part) * line[k] + part * line[k + 1] + upward * (self.rng.uniform(-1, 1, 150) * thick)[:, None]
            lean = (1 - t / 4).clip(0, 1)[:, None]  # hairs at the nose stand up, outer ones lie along the brow
            way = (0.30 + 0.5 * (1 - lean) ** 2) * upward + (1 - 0.6 * (1 - lean) ** 3) * outward
            tip = root + self.rng.uniform(0.004, 0.007, (150, 1)) * way
            hairs = np.rint(np.stack([root, tip], 1) * 16).astype(np.int32)
            for shade, group in zip((0.5, 0.7, 0.9), np.array_split(hairs[self.rng.permutation(150)], 3), strict=True):
                cv2.polylines(layer, list(group), False, shade, 1, cv2.LINE_AA, 4)
        dark = np.clip(np.asarray(self.person.hair.colour) * 1.1 + 0.12, 0.15, 0.75)
        soft = cv2.GaussianBlur(layer, (0, 0), 0.55 * unit + 0.2)
        self.tint(np.minimum(soft, 1.0) * (0.35 + 0.55 * strength), tuple(map(float, dark)))

    def stubble(self) -> None:
        """The shadow of a shaved or growing beard."""
        skin = self.person.skin
        amount = 0.35 * skin.stubble + 0.55 * min(1.0, 2 * self.person.beard)
        if amount > 0.02:
            grain = np.clip(0.6 + 0.5 * self.rng.standard_normal((self.size, self.size), dtype=np.float32), 0, 1.4)
            colour = np.clip(np.asarray(self.person.hair.colour) + 0.18, 0.2, 0.7)
            self.tint(np.clip(self.zones.beard * grain * np.float32(amount), 0, 0.85), tuple(map(float, colour)))

    def scalp(self) -> None:
        """Hair roots: the skin darkens under the haircut, and a little before its edge."""
        hair = self.person.hair
        if hair.kind == "bald":
            return
        rise, front, temples = self.zones.scalp
        amount = np.clip((rise - front * hair.hairline - temples * hair.receding + 0.003) / 0.012, 0, 1)
        grain = np.clip(0.8 + 0.25 * self.rng.standard_normal((self.size, self.size), dtype=np.float32), 0, 1)
        self.tint(0.8 * amount * grain, tuple(map(float, np.clip(np.asarray(hair.colour) + 0.08, 0.1, 0.8))))

    def makeup(self) -> None:
        """Lips and lids."""
        amount = self.person.skin.makeup
        tone, shadow = 0.35 + 0.5 * self.rng.random(), self.rng.uniform(0.5, 0.8, 3)
        self.gloss += self.zones.lips * np.float32(0.3 + 0.6 * amount)
        if amount > 0:
            self.tint(self.zones.lips * (0.6 * amount), (1.05, tone, tone + 0.1))
            self.tint(self.zones.lids * (0.5 * amount), tuple(map(float, shadow)))

    def result(self) -> Array:
        """(size, size, 4) float32; texels off the skin keep the factor 1 and no gloss."""
        factor = np.where(self.zones.skin[..., None], np.clip(self.factor, 0.05, 1.3), np.float32(1.0))
        return np.concatenate([factor, np.where(self.zones.skin, self.gloss, 0)[..., None]], -1)


def beard_zone(position: Array, points: Array) -> Array:
    """(...) 0..1: where a beard grows, from places (..., 3) on the mean head and its landmarks."""
    x, y, z = position[..., 0], position[..., 1], position[..., 2]
    nose, mouth, chin, eye = points[33, 1], points[60:68, 1].mean(), points[8, 1], points[36:48, 1].mean()
    jaw = np.interp(np.abs(x), [0.0, 0.025, 0.045, 0.062, 0.075], [nose - 0.004, nose - 0.006, mouth - 0.006, mouth + 0.012,
                                                                    eye - 0.02])
    below = 1 / (1 + np.exp(-np.clip((jaw - y) / 0.0022, -30, 30)))
    above = 1 / (1 + np.exp(-np.clip((y - (chin - 0.016)) / 0.004, -30, 30)))
    front = 1 / (1 + np.exp(-np.clip((z - (points[36:48, 2].mean() - 0.078)) / 0.005, -30, 30)))
    middle = (y - mouth) / 0.009
    lips = np.exp(-((x / 0.027) ** 4 + middle ** 4))
    return below * above * front * (1 - lips) * np.interp(np.abs(x), [0.058, 0.072], [1.0, 0.45])


def paint_skin(anatomy: Anatomy, person: Person, size: int) -> Array:
    """The whole map of ``person``, (size, size, 4); ``size`` divides the anatomy's map."""
    skin = SkinMap(anatomy, person, size)
    skin.complexion()
    skin.spots()
    skin.lines()
    skin.brows()
    skin.stubble()
    skin.makeup()
    skin.scalp()
    return skin.result()
