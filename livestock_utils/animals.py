"""Pigs and cows of the sample as bodies of ellipsoids, drawn by ray casting with a depth buffer.

A body is a list of ellipsoids in metres: x forward, y left, z up, the floor at z = 0. Each is a centre and a 3 x 3 matrix
that maps the unit ball onto it. A body is drawn under the affine map that touches the camera's projection at the animal's
place, so that near animals are seen from above and far ones more from the side.
"""

import dataclasses
import functools

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

COAT, BARE, HORN, HOOF, EYE, EAR = range(6)
"""Materials: the coat with its pattern, bare skin (snout, udder), horn, hoof, eye, inner ear."""


@dataclasses.dataclass(frozen=True)
class Coat:
    """Colours (BGR, 0-255) of the materials and the pattern: `share` of the second colour, patches a metre, dirt."""

    base: tuple[float, float, float]
    second: tuple[float, float, float]
    bare: tuple[float, float, float]
    share: float = 0.0
    patches_per_m: float = 1.0
    dirt: float = 0.2
    gloss: float = 0.1
    offset: tuple[float, float] = (0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Body:
    """Ellipsoids of one animal: centres (n, 3) and shapes (n, 3, 3) in metres, materials (n,), and its coat."""

    centres: Array
    shapes: Array
    materials: npt.NDArray[np.int64]
    coat: Coat
    radius_m: float
    length_m: float


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A drawn animal: colours (h, w, 3) BGR 0-255, opacity (h, w) 0-1, and the frame pixel of its upper left corner."""

    colour: Image
    alpha: Image
    left: int
    top: int


class _Parts:
    """A growing list of ellipsoids."""

    def __init__(self) -> None:
        self.centres: list[Array] = []
        self.shapes: list[Array] = []
        self.materials: list[int] = []

    def ball(self, centre, radii, material=COAT, rotation=None) -> None:
        shape = np.diag(np.asarray(radii, dtype=float))
        self.centres.append(np.asarray(centre, dtype=float))
        self.shapes.append(shape if rotation is None else rotation @ shape)
        self.materials.append(material)

    def limb(self, start, end, radius, material=COAT, taper=1.0) -> None:
        """A long ellipsoid between two points."""
        start, end = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        axis = end - start
        length = float(np.linalg.norm(axis))
        first = axis / length
        second = np.cross(first, [0.0, 0.0, 1.0] if abs(first[2]) < 0.9 else [0.0, 1.0, 0.0])
        second /= np.linalg.norm(second)
        rotation = np.stack([first, second, np.cross(first, second)], axis=1)
        self.ball((start + end) / 2, (length * 0.58, radius, radius * taper), material, rotation)

    def add(self, other: "_Parts", rotation: Array, pivot) -> None:
        """Take over the parts of `other`, turned about the origin and moved to `pivot`."""
        for centre, shape, material in zip(other.centres, other.shapes, other.materials, strict=True):
            self.centres.append(rotation @ centre + np.asarray(pivot, dtype=float))
            self.shapes.append(rotation @ shape)
            self.materials.append(material)

    def body(self, coat: Coat, size: float, roll: float, radius_m: float, length_m: float) -> Body:
        """Roll about the long axis, scale, and set the lowest point on the floor."""
        turn = turned(roll=roll)
        centres = np.array(self.centres) @ turn.T
        shapes = turn @ np.array(self.shapes)
        low = (centres[:, 2] - np.sqrt((shapes[:, 2] ** 2).sum(axis=1))).min()
        centres[:, 2] -= low
        return Body(centres * size, shapes * size, np.array(self.materials), coat, radius_m * size, length_m * size)


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Array:
    """Rotation matrix of angles in radians: roll about x, then pitch about y (positive: nose down), then yaw about z."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    return (
        np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        @ np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
        @ np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    )


def pig(rng: np.random.Generator, coat: Coat, pose: str) -> Body:
    """A pig of about 1.2 m, snout to tail; `pose`: "standing", "lying" on the belly, "side" flat on its side."""
    parts, fat = _Parts(), rng.uniform(0.92, 1.1)
    for x, rx, ry, rz in ((-0.36, 0.2, 0.155, 0.175), (-0.12, 0.3, 0.18, 0.195), (0.14, 0.28, 0.172, 0.185),
                          (0.31, 0.19, 0.15, 0.17)):
        parts.ball((x, 0, 0), (rx, ry * fat, rz * fat))
    for side in (-1, 1):
        parts.ball((-0.34, side * 0.095, -0.05), (0.16, 0.085, 0.16))
        parts.ball((0.27, side * 0.085, -0.06), (0.12, 0.075, 0.14))
    head = _Parts()
    head.ball((0.1, 0, 0.0), (0.16, 0.118, 0.125))
    head.ball((0.2, 0, -0.035), (0.12, 0.078, 0.08))
    head.limb((0.24, 0, -0.05), (0.36, 0, -0.075), 0.05)
    head.ball((0.375, 0, -0.08), (0.016, 0.046, 0.042), BARE)
    for side in (-1, 1):
        ear = turned(yaw=side * rng.uniform(0.35, 0.8), pitch=rng.uniform(-0.5, 0.5), roll=side * 0.5)
        head.ball((0.1, side * 0.115, 0.09), (0.095, 0.058, 0.014), EAR, ear)
        head.ball((0.205, side * 0.068, 0.03), (0.014, 0.01, 0.012), EYE)
    parts.add(head, turned(rng.normal(0, 0.3), rng.uniform(-0.05, 0.45)), (0.4, 0, 0.02))
    swing = rng.uniform(-0.06, 0.06)
    for x, ahead in ((0.28, swing), (-0.36, -swing)):
        for side in (-1, 1):
            if pose == "lying":
                knee = (x + (0.14 if x > 0 else 0.1), side * rng.uniform(0.13, 0.2), -0.13)
                parts.limb((x, side * 0.11, -0.1), knee, 0.05)
                parts.limb(knee, (knee[0] + 0.1, knee[1] + side * 0.02, -0.155), 0.034, HOOF if x > 0 else COAT)
            else:
                foot = (x + side * ahead * 2 + (0.03 if x > 0 else -0.04), side * 0.1, -0.4)
                parts.limb((x, side * 0.1, -0.1), (foot[0], foot[1], -0.33), 0.05)
                parts.ball(foot, (0.042, 0.035, 0.05), HOOF)
    curl = rng.choice([-1, 1])
    parts.limb((-0.54, 0, 0.06), (-0.6, curl * 0.02, 0.09), 0.014)
    parts.limb((-0.6, curl * 0.02, 0.09), (-0.6, curl * 0.055, 0.05), 0.012)
    roll = rng.choice([-1, 1]) * rng.uniform(1.15, 1.45) if pose == "side" else 0.0
    return parts.body(coat, rng.uniform(0.9, 1.12), roll, 0.2, 1.25)


def cow(rng: np.random.Generator, coat: Coat, pose: str) -> Body:
    """A cow of about 2.4 m, muzzle to tail; `pose`: "standing" or "lying"."""
    parts = _Parts()
    for x, z, rx, ry, rz in ((-0.62, 0.04, 0.3, 0.235, 0.27), (-0.2, -0.06, 0.5, 0.34, 0.36), (0.22, -0.04, 0.46, 0.31, 0.36),
                             (0.58, 0.0, 0.28, 0.22, 0.31)):
        parts.ball((x, 0, z), (rx, ry, rz))
    parts.limb((-0.85, 0, 0.22), (0.6, 0, 0.26), 0.07)
    for side in (-1, 1):
        parts.ball((-0.52, side * 0.22, 0.17), (0.13, 0.07, 0.08))
        parts.ball((-0.66, side * 0.15, -0.14), (0.22, 0.11, 0.27))
        parts.ball((0.55, side * 0.14, -0.12), (0.19, 0.1, 0.27))
    parts.ball((-0.5, 0, -0.38), (0.17, 0.14, 0.1), BARE)
    down = rng.uniform(0.1, 0.9) if pose == "standing" else rng.uniform(-0.3, 0.3)
    turn = rng.normal(0, 0.4)
    neck = turned(turn * 0.6, down)
    parts.add(_neck(), neck, (0.68, 0, 0.1))
    parts.add(_cow_head(rng), turned(turn, down * 0.5 + 0.35), np.array([0.68, 0, 0.1]) + neck @ np.array([0.48, 0, 0.05]))
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
    tail = (-0.97, swish * 0.6, -0.2), (-0.93, swish, -0.5 if pose == "standing" else -0.3)
    parts.limb((-0.88, 0, 0.2), tail[0], 0.03)
    parts.limb(*tail, 0.022)
    parts.ball(tail[1], (0.04, 0.04, 0.1), EYE)
    return parts.body(coat, rng.uniform(0.9, 1.08), 0.0, 0.42, 2.3)


def _neck() -> _Parts:
    parts = _Parts()
    parts.limb((-0.1, 0, -0.06), (0.5, 0, 0.04), 0.17, taper=1.35)
    return parts


def _cow_head(rng: np.random.Generator) -> _Parts:
    parts = _Parts()
    parts.ball((0.06, 0, 0.02), (0.16, 0.125, 0.14))
    parts.limb((0.08, 0, 0.0), (0.4, 0, -0.05), 0.095, taper=1.15)
    parts.ball((0.43, 0, -0.055), (0.075, 0.085, 0.08), BARE)
    horns = rng.random() < 0.6
    for side in (-1, 1):
        ear = turned(yaw=side * rng.uniform(1.2, 1.7), pitch=rng.uniform(-0.1, 0.3))
        parts.ball((-0.02, side * 0.21, 0.05), (0.13, 0.062, 0.03), EAR, ear)
        parts.ball((0.15, side * 0.105, 0.06), (0.03, 0.02, 0.025), EYE)
        if horns:
            parts.limb((0.0, side * 0.09, 0.12), (0.04, side * 0.2, 0.22), 0.03, HORN)
            parts.limb((0.03, side * 0.18, 0.2), (0.13, side * 0.21, 0.29), 0.02, HORN)
    return parts


@functools.cache
def smooth_noise(size: int, waves: float, seed: int) -> Image:
    """Tileable noise (size, size) of about `waves` bumps a side, spread evenly over 0-1 (a rank transform)."""
    rng = np.random.default_rng([77, seed])
    frequency = np.fft.fftfreq(size) * size
    distance = np.hypot(frequency[:, None], frequency[None, : size // 2 + 1])
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * np.exp(-((distance / waves) ** 2))
    field = np.fft.irfft2(spectrum, (size, size))
    ranks = np.empty(size * size, dtype=np.float32)
    ranks[np.argsort(field, axis=None, kind="stable")] = np.linspace(0, 1, size * size, dtype=np.float32)
    noise = ranks.reshape(size, size)
    noise.flags.writeable = False
    return noise


def silhouettes(body: Body, to_px: Array) -> Array:
    """Covariances (n, 2, 2) in px2 of the ellipses that the ellipsoids of `body` cover under the 2 x 3 map `to_px`."""
    flat = to_px @ body.shapes
    return flat @ flat.transpose(0, 2, 1)


def draw(body: Body, to_px: Array, toward_camera: Array, light: Array, at_px: Array, grid_px: float = 150.0) -> Sprite:
    """Draw `body` standing at frame pixel `at_px`.

    `to_px` (2, 3) maps metres in the body's frame to pixels and has `toward_camera` (3,) as its null space; `light`
    points to the lamp. The geometry is cast on a grid of about `grid_px` a side, then brought to the frame's pixels.
    """
    spread = np.sqrt(np.diagonal(silhouettes(body, to_px), axis1=1, axis2=2))
    middle = body.centres @ to_px.T
    low = np.floor((middle - spread).min(axis=0) + at_px).astype(int) - 2
    size = np.ceil((middle + spread).max(axis=0) + at_px).astype(int) + 2 - low
    cells = np.maximum(np.round(size * min(2.0, grid_px / size.max())), 4).astype(int)
    per_px = cells / size
    depth_map = np.vstack([to_px * per_px[:, None], toward_camera])
    depth, material = _cast(body, depth_map, (at_px - low) * per_px, cells)
    colour, alpha = _shade(body, depth, material, depth_map, (at_px - low) * per_px, light)
    shape = (int(size[0]), int(size[1]))
    alpha = cv2.resize(alpha, shape, interpolation=cv2.INTER_CUBIC if cells[0] < size[0] else cv2.INTER_AREA)
    colour = cv2.resize(colour, shape, interpolation=cv2.INTER_LINEAR if cells[0] < size[0] else cv2.INTER_AREA)
    sharp = max(1.0, 1.3 / float(per_px[0]))
    return Sprite(colour, np.clip((alpha - 0.5) * sharp + 0.5, 0, 1, dtype=np.float32), int(low[0]), int(low[1]))


def _cast(body: Body, to_grid: Array, origin: Array, cells: npt.NDArray[np.int64]) -> tuple[Image, npt.NDArray[np.uint8]]:
    """Nearest surface along the sight line: its height toward the camera (-inf: none) and its material, (h, w)."""
    width, height = int(cells[0]), int(cells[1])
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    material = np.zeros((height, width), dtype=np.uint8)
    centres = body.centres @ to_grid.T
    shapes = to_grid @ body.shapes
    spread = np.sqrt((shapes**2).sum(axis=2))
    inverse = np.linalg.inv(shapes @ shapes.transpose(0, 2, 1))
    for centre, reach, form, kind in zip(centres, spread, inverse, body.materials, strict=True):
        x, y = centre[:2] + origin
        x0, x1 = max(0, int(x - reach[0])), min(width, int(x + reach[0]) + 2)
        y0, y1 = max(0, int(y - reach[1])), min(height, int(y + reach[1]) + 2)
        if x0 >= x1 or y0 >= y1:
            continue
        across = (np.arange(x0, x1, dtype=np.float32) + np.float32(0.5 - x))[None, :]
        along = (np.arange(y0, y1, dtype=np.float32) + np.float32(0.5 - y))[:, None]
        (a, b, d), (_, c, e), (_, _, f) = form.astype(np.float32)
        room = (f - (a * f - d * d) * across**2) - (c * f - e * e) * along**2 - (2 * (b * f - d * e)) * along * across
        inside = room > 0
        surface = (np.sqrt(np.maximum(room, 0)) - (d * across + e * along)) / f + np.float32(centre[2])
        nearer = inside & (surface > depth[y0:y1, x0:x1])
        np.copyto(depth[y0:y1, x0:x1], surface, where=nearer)
        material[y0:y1, x0:x1][nearer] = kind
    return depth, material


def _shade(body: Body, depth: Image, material: npt.NDArray[np.uint8], to_grid: Array, origin: Array,
           light: Array) -> tuple[Image, Image]:
    """Colours (h, w, 3) and opacity (h, w) of a cast body: pattern, dirt, light from above, darker toward the floor."""
    mask = np.isfinite(depth).astype(np.float32)
    filled = np.where(mask > 0, depth, 0).astype(np.float32)
    sigma = 0.035 * body.length_m * float(np.abs(to_grid[:2]).max())
    weight = cv2.GaussianBlur(mask, (0, 0), sigma)
    smooth = cv2.GaussianBlur(filled, (0, 0), sigma) / np.maximum(weight, 1e-4)
    smooth = 0.6 * smooth + 0.4 * np.where(mask > 0, filled, smooth)
    down, right = np.gradient(smooth)
    normal = [to_grid[2, i] - right * to_grid[0, i] - down * to_grid[1, i] for i in range(3)]
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    facing = (normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]) / length
    place = np.linalg.inv(to_grid).astype(np.float32)
    height, width = depth.shape
    across = (np.arange(width, dtype=np.float32) + np.float32(0.5 - origin[0]))[None, :]
    along = (np.arange(height, dtype=np.float32) + np.float32(0.5 - origin[1]))[:, None]
    x, y, z = (place[i, 0] * across + place[i, 1] * along + place[i, 2] * smooth for i in range(3))
    coat = body.coat
    pattern = _pattern(x + 0.25 * z, y + 0.8 * z, coat.patches_per_m, coat.offset)
    second = np.clip((coat.share - pattern) * 25 + (0.5 if coat.share > 0 else -1), 0, 1)[..., None]
    base, other = np.float32(coat.base), np.float32(coat.second)
    colour = base + (other - base) * second
    palette = np.float32([(0, 0, 0), coat.bare, (150, 190, 200), (45, 52, 60), (18, 18, 22), (0, 0, 0)])
    palette[EAR] = 0.8 * base + 0.2 * np.float32(coat.bare)
    plain = material != COAT
    colour[plain] = palette[material[plain]]
    high = body.centres[:, 2].max()
    dirt = np.clip((_pattern(x * 1.0, y + z, 2.2, coat.offset[::-1]) - 1 + coat.dirt) * 4, 0, 1)
    dirt = dirt * np.clip(1.25 - z / high, 0.15, 1)
    colour += (np.float32((52, 70, 88)) - colour) * (0.65 * dirt)[..., None]
    bright = (0.42 + 0.66 * np.clip(facing, 0, 1)) * np.clip(0.55 + 0.5 * z / high, 0.5, 1.05)
    hair = _pattern(x * 1.0, y * 3.0 + z, 9.0, coat.offset)
    bright *= 0.94 + 0.12 * hair
    colour = colour * bright[..., None] + (255 * coat.gloss) * (np.clip(facing, 0, 1) ** 14)[..., None]
    edge = mask[..., None]
    filled_colour = cv2.GaussianBlur(colour * edge, (0, 0), 1.2) / np.maximum(cv2.GaussianBlur(mask, (0, 0), 1.2), 1e-3)[..., None]
    colour = np.where(edge > 0, colour, filled_colour)
    return np.clip(colour, 0, 255).astype(np.float32), cv2.GaussianBlur(mask, (0, 0), 0.7)


def _pattern(u: Image, v: Image, per_m: float, offset: tuple[float, float]) -> Image:
    """Even noise 0-1 looked up at body coordinates in metres, `per_m` bumps a metre."""
    noise = smooth_noise(256, 12.0, 1)
    scale = np.float32(256 / 12.0 * per_m)
    return cv2.remap(noise, ((u + np.float32(offset[0])) * scale) % 256, ((v + np.float32(offset[1])) * scale) % 256,
                     cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
