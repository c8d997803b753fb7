"""Pigs and cows as bodies of ellipsoids, in metres: x forward, y left, z up, the floor at z = 0."""

import dataclasses

import numpy as np
import numpy.typing as npt

from livestock_utils.core.arrays import Floats

COAT, BARE, HORN, HOOF, EYE, EAR, TUFT = range(7)
"""Materials: patterned coat, bare skin (snout, udder), horn, hoof, eye, ear, tuft of the tail."""

Colour = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Coat:
    """Colours (BGR, 0-255), share and patches per metre of the second, dirt, gloss, pattern."""

    base: Colour
    second: Colour
    bare: Colour
    share: float = 0.0
    patches_per_m: float = 1.0
    dirt: float = 0.2
    gloss: float = 0.1
    offset: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Body:
    """Ellipsoids: centres (n, 3), matrices (n, 3, 3) from the unit ball, materials (n,)."""

    centres: Floats
    shapes: Floats
    materials: npt.NDArray[np.int64]
    coat: Coat
    radius_m: float
    length_m: float

    def scaled(self, size: float) -> "Body":
        """The same animal, `size` times as large: a young one."""
        where = self.centres * size, self.shapes * size, self.materials
        return Body(*where, self.coat, self.radius_m * size, self.length_m * size)


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Floats:
    """Rotation matrix of radians: roll about x, pitch about y (> 0: nose down), yaw about z."""
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return about_z @ about_y @ about_x


def flattened(shapes: Floats, to_px: Floats) -> Floats:
    """Covariances (n, 2, 2) in px2 of ellipsoids (n, 3, 3) under the 2 x 3 map `to_px`."""
    flat = to_px @ shapes
    return flat @ flat.transpose(0, 2, 1)


def pig(rng: np.random.Generator, coat: Coat, pose: str) -> Body:
    """A pig of about 1.25 m; `pose`: "standing", "lying" on the belly, "side" on its side."""
    parts, fat = _Parts(), rng.uniform(0.94, 1.12)
    for x, rx, ry, rz in (
        (-0.32, 0.25, 0.16, 0.18),
        (-0.04, 0.42, 0.178, 0.195),
        (0.26, 0.25, 0.158, 0.178),
    ):
        parts.ball((x, 0, 0), (rx, ry * fat, rz * fat))
    for side in (-1, 1):
        parts.ball((-0.34, side * 0.09, -0.05), (0.17, 0.085, 0.16))
        parts.ball((0.27, side * 0.08, -0.06), (0.13, 0.075, 0.14))
    head = _Parts()
    head.ball((0.09, 0, 0.0), (0.17, 0.118, 0.125))
    head.ball((0.2, 0, -0.035), (0.12, 0.08, 0.08))
    head.limb((0.24, 0, -0.05), (0.36, 0, -0.075), 0.052)
    head.ball((0.378, 0, -0.08), (0.018, 0.048, 0.044), BARE)
    droop = rng.uniform(-0.5, 0.5)
    for side in (-1, 1):
        ear = turned(yaw=side * rng.uniform(0.35, 0.8), pitch=droop, roll=side * 0.5)
        head.ball((0.1, side * 0.115, 0.09), (0.095, 0.06, 0.014), EAR, ear)
        head.ball((0.205, side * 0.068, 0.03), (0.014, 0.01, 0.012), EYE)
        head.ball((0.392, side * 0.018, -0.08), (0.008, 0.009, 0.011), EYE)
    parts.add(head, turned(rng.normal(0, 0.3), rng.uniform(-0.05, 0.45)), (0.4, 0, 0.02))
    swing = rng.uniform(-0.06, 0.06)
    for x, ahead in ((0.28, swing), (-0.36, -swing)):
        for side in (-1, 1):
            if pose == "lying":
                knee = (x + (0.14 if x > 0 else 0.1), side * rng.uniform(0.13, 0.2), -0.13)
                parts.limb((x, side * 0.11, -0.1), knee, 0.05)
                parts.limb(knee, (knee[0] + 0.1, knee[1] + side * 0.02, -0.155), 0.034)
            else:
                foot = (x + side * ahead * 2 + (0.03 if x > 0 else -0.04), side * 0.1, -0.41)
                parts.limb((x, side * 0.1, -0.1), (foot[0], foot[1], -0.35), 0.05)
                parts.limb((foot[0], foot[1], -0.24), foot, 0.034)
                parts.ball(foot, (0.04, 0.032, 0.03), HOOF)
    curl = rng.choice([-1, 1])
    parts.limb((-0.54, 0, 0.06), (-0.61, curl * 0.02, 0.09), 0.014)
    parts.limb((-0.61, curl * 0.02, 0.09), (-0.6, curl * 0.06, 0.05), 0.012)
    roll = rng.choice([-1, 1]) * rng.uniform(1.15, 1.45) if pose == "side" else 0.0
    return parts.body(coat, rng.uniform(0.9, 1.14), roll, 0.2, 1.25)


def cow(rng: np.random.Generator, coat: Coat, pose: str) -> Body:
    """A cow of about 2.4 m, muzzle to tail; `pose`: "standing" or "lying"."""
    parts = _Parts()
    parts.ball((-0.6, 0, 0.04), (0.33, 0.235, 0.27))
    parts.ball((-0.12, 0, -0.06), (0.62, 0.335, 0.36))
    parts.ball((0.5, 0, -0.02), (0.36, 0.245, 0.33))
    parts.limb((-0.85, 0, 0.21), (0.6, 0, 0.25), 0.07)
    for side in (-1, 1):
        parts.ball((-0.5, side * 0.2, 0.13), (0.17, 0.08, 0.09))
        parts.ball((-0.66, side * 0.15, -0.14), (0.22, 0.11, 0.27))
        parts.ball((0.55, side * 0.14, -0.12), (0.19, 0.1, 0.27))
    parts.ball((-0.5, 0, -0.36), (0.17, 0.14, 0.12), BARE)
    down = rng.uniform(0.1, 0.9) if pose == "standing" else rng.uniform(-0.3, 0.3)
    turn = rng.normal(0, 0.4)
    neck, neck_parts = turned(turn * 0.6, down), _Parts()
    neck_parts.limb((-0.14, 0, -0.06), (0.5, 0, 0.04), 0.165, taper=1.35)
    parts.add(neck_parts, neck, (0.68, 0, 0.1))
    poll = np.array([0.68, 0, 0.1]) + neck @ np.array([0.48, 0, 0.05])
    parts.add(_cow_head(rng), turned(turn, down * 0.5 + 0.35), poll)
    stride = rng.uniform(-0.12, 0.12)
    for x, ahead in ((0.52, stride), (-0.68, -stride)):
        for side in (-1, 1):
            if pose == "lying":
                out = side * (0.36 if (x < 0) == (side > 0) else 0.22)
                knee = (x + (0.3 if x > 0 else 0.22), out, -0.3)
                parts.limb((x, side * 0.2, -0.2), knee, 0.085)
                parts.limb(knee, (knee[0] - 0.26, out * 1.1, -0.34), 0.05)
            else:
                knee = (x + side * ahead, side * 0.16, -0.52)
                foot = (x + side * ahead * 1.6 - 0.02, side * 0.16, -0.88)
                parts.limb((x, side * 0.15, -0.2), knee, 0.085)
                parts.limb(knee, foot, 0.05)
                parts.ball((foot[0] + 0.02, foot[1], -0.93), (0.075, 0.055, 0.05), HOOF)
    swish = rng.uniform(-0.22, 0.22)
    knee, tip = (-0.97, swish * 0.6, -0.2), (-0.93, swish, -0.5 if pose == "standing" else -0.3)
    parts.limb((-0.88, 0, 0.2), knee, 0.03)
    parts.limb(knee, tip, 0.024)
    parts.ball(tip, (0.045, 0.045, 0.11), TUFT)
    return parts.body(coat, rng.uniform(0.9, 1.08), 0.0, 0.42, 2.3)


class _Parts:
    """A growing list of ellipsoids."""

    def __init__(self) -> None:
        self.centres: list[Floats] = []
        self.shapes: list[Floats] = []
        self.materials: list[int] = []

    def ball(self, centre, radii, material: int = COAT, rotation: Floats | None = None) -> None:
        """One ellipsoid of three radii."""
        shape = np.diag(np.asarray(radii, dtype=float))
        self.centres.append(np.asarray(centre, dtype=float))
        self.shapes.append(shape if rotation is None else rotation @ shape)
        self.materials.append(material)

    def limb(self, start, end, radius: float, material: int = COAT, taper: float = 1.0) -> None:
        """A long ellipsoid between two points; `taper` is its height over its width."""
        start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        length = float(np.linalg.norm(end - start))
        first = (end - start) / length
        second = np.cross(first, [0.0, 0.0, 1.0] if abs(first[2]) < 0.9 else [0.0, 1.0, 0.0])
        second /= np.linalg.norm(second)
        rotation = np.stack([first, second, np.cross(first, second)], axis=1)
        self.ball((start + end) / 2, (length * 0.58, radius, radius * taper), material, rotation)

    def add(self, other: "_Parts", rotation: Floats, pivot) -> None:
        """Take over the parts of `other`, turned about the origin and moved to `pivot`."""
        at = np.asarray(pivot, dtype=float)
        self.centres += [rotation @ centre + at for centre in other.centres]
        self.shapes += [rotation @ shape for shape in other.shapes]
        self.materials += other.materials

    def body(self, coat: Coat, size: float, roll: float, radius_m: float, length_m: float) -> Body:
        """Roll about the long axis, scale, and set the lowest point on the floor."""
        turn = turned(roll=roll)
        centres, shapes = np.array(self.centres) @ turn.T, turn @ np.array(self.shapes)
        centres[:, 2] -= (centres[:, 2] - np.sqrt((shapes[:, 2] ** 2).sum(axis=1))).min()
        where = centres * size, shapes * size, np.array(self.materials)
        return Body(*where, coat, radius_m * size, length_m * size)


def _cow_head(rng: np.random.Generator) -> _Parts:
    parts = _Parts()
    parts.ball((0.06, 0, 0.02), (0.16, 0.125, 0.14))
    parts.limb((0.08, 0, 0.0), (0.4, 0, -0.05), 0.095, taper=1.15)
    parts.ball((0.43, 0, -0.055), (0.075, 0.085, 0.08), BARE)
    horned = rng.random() < 0.5
    for side in (-1, 1):
        ear = turned(yaw=side * rng.uniform(1.2, 1.7), pitch=rng.uniform(-0.1, 0.3))
        parts.ball((-0.02, side * 0.21, 0.05), (0.13, 0.065, 0.03), EAR, ear)
        parts.ball((0.15, side * 0.105, 0.06), (0.03, 0.02, 0.025), EYE)
        parts.ball((0.49, side * 0.035, -0.04), (0.018, 0.018, 0.018), EYE)
        if horned:
            parts.limb((0.0, side * 0.09, 0.11), (0.03, side * 0.19, 0.19), 0.03, HORN)
            parts.limb((0.02, side * 0.17, 0.17), (0.1, side * 0.21, 0.26), 0.02, HORN)
    return parts
