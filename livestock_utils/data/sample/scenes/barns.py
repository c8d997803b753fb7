"""Empty barns: textured floors and walls, rails, troughs, dirt, and the light that falls in."""

import dataclasses

import cv2
import numpy as np

from livestock_utils.core.arrays import Floats
from livestock_utils.data.sample.scenes.camera import Camera, project_polygon
from livestock_utils.data.sample.scenes.textures import TILE_M, smooth_noise, tile

Colour = tuple[float, float, float]
_STEEL: Colour = (165, 170, 172)


@dataclasses.dataclass(frozen=True)
class _Pipe:
    """A round rail or post between two points in metres."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    thick_m: float
    colour: Colour = _STEEL


@dataclasses.dataclass(frozen=True, eq=False)
class Barn:
    """An empty barn: camera, picture (h, w, 3) BGR, light (h, w, 3) as factors, direction to the
    lamp (3,). Animals stand between the two y of `pen_m`; `front` is drawn over them; at `night`
    the camera sees grey; `breed` (0-1) is the quantile of the breed that most of them are."""

    camera: Camera
    picture: np.ndarray
    light: np.ndarray
    lamp: Floats
    pen_m: tuple[float, float]
    front: tuple[_Pipe, ...]
    night: bool
    breed: float


def pig_barn(rng: np.random.Generator, width_px: int, height_px: int) -> Barn:
    """A pen with a slatted or bare concrete floor, board partitions, a steel trough and dung."""
    canvas = _Canvas(_camera(rng, width_px, height_px, rng.uniform(215, 300), (54, 76)))
    camera = canvas.camera
    back = float(camera.floor([[width_px / 2, height_px * rng.uniform(-0.02, 0.16)]])[0, 1])
    tint = np.array([(0.95, 1.0, 1.03), (1.0, 1.0, 1.0), (0.9, 0.97, 1.05)][rng.integers(3)])
    tint = tint * rng.uniform(0.95, 1.15)
    canvas.floor("concrete", (-50, 50), tint)
    bare_until = float(rng.uniform(-0.8, 0.6)) if rng.random() < 0.5 else -50.0
    slats = tint * rng.uniform(0.92, 1.05)
    canvas.floor("slats", (bare_until, 50), slats, turned=bool(rng.random() < 0.4))
    if bare_until > -50:
        canvas.wall((-50, bare_until, 0), 100, 0.06, "concrete", tint * 0.75)
    canvas.dirt(rng, (44, 66, 86), 0.7, rng.uniform(0.2, 0.42), 0.6)
    canvas.dirt(rng, (46, 48, 50), 0.45, rng.uniform(0.2, 0.4), 1.3)
    board = np.array([(200, 205, 205), (150, 165, 140), (120, 140, 165)][rng.integers(3)]) / 150
    canvas.wall((-50, back, 0), 100, rng.uniform(0.9, 1.2), "boards", board)
    for x in np.arange(-9, 10, 2.4) + rng.uniform(-1, 1):
        canvas.pipe(_Pipe((x, back - 0.04, 0), (x, back - 0.04, 1.25), 0.07))
    canvas.pipe(_Pipe((-20, back - 0.05, 1.1), (20, back - 0.05, 1.1), 0.06))
    canvas.trough(rng.uniform(-2, 2), back - 0.28, 1.6)
    if rng.random() < 0.6:
        side = float(rng.choice([-1, 1]) * rng.uniform(0.43, 0.48)) * width_px / camera.px_a_metre
        for z in (0.25, 0.55, 0.9):
            canvas.pipe(_Pipe((side, back, z), (side, -8, z), 0.05))
        for y in np.arange(back, -6, -1.5):
            canvas.pipe(_Pipe((side, y, 0), (side, y, 1.0), 0.06))
    front = _front_rails(camera, 1.03, (0.35, 0.75), 0.05) if rng.random() < 0.45 else ()
    return _lit(rng, canvas, (-50.0, back - 0.25), front)


def cow_barn(rng: np.random.Generator, width_px: int, height_px: int) -> Barn:
    """A pen with straw bedding or grooved concrete, an alley, a rail, and feed behind it."""
    canvas = _Canvas(_camera(rng, width_px, height_px, rng.uniform(130, 215), (44, 68)))
    camera = canvas.camera
    back = float(camera.floor([[width_px / 2, height_px * rng.uniform(0.08, 0.24)]])[0, 1])
    tint = np.array([(0.92, 0.98, 1.02), (1.0, 1.0, 1.0)][rng.integers(2)])
    tint = tint * rng.uniform(0.92, 1.12)
    straw = np.array([(0.95, 0.97, 1.0), (0.82, 0.86, 0.9), (0.85, 0.98, 1.05)][rng.integers(3)])
    canvas.floor("concrete", (-50, 50), tint)
    if rng.random() < 0.72:
        kerb = back - rng.uniform(0.6, 2.6)
        canvas.floor("straw", (-50, kerb), straw * rng.uniform(0.95, 1.15), ragged=0.25)
        canvas.dirt(rng, (40, 56, 72), 0.6, rng.uniform(0.25, 0.45), 0.7)
        canvas.scatter("straw", (kerb, kerb + 1.2), straw)
    else:
        canvas.floor("grooves", (-50, back), tint * 0.95, turned=bool(rng.random() < 0.5))
        canvas.dirt(rng, (42, 60, 74), 0.75, rng.uniform(0.3, 0.5), 0.8)
    canvas.floor("feed", (back + 0.25, back + 1.3), np.array((1.0, 1.0, 1.0)), ragged=0.3)
    canvas.wall((-50, back, 0), 100, 0.45, "concrete", tint * 0.9)
    wall = np.array((0.75, 0.82, 0.85)) * rng.uniform(0.6, 1.1)
    canvas.wall((-50, back + rng.uniform(3.5, 6), 0), 100, 6, "boards", wall)
    colour = [_STEEL, (110, 140, 90), (150, 110, 70)][rng.integers(3)]
    for z in (0.75, 1.15):
        canvas.pipe(_Pipe((-20, back, z), (20, back, z), 0.06, colour))
    if rng.random() < 0.5:
        for x in np.arange(-12, 12, 0.45) + rng.uniform(-0.2, 0.2):
            canvas.pipe(_Pipe((x, back, 0.45), (x + 0.1, back, 1.15), 0.035, colour))
    for x in np.arange(-12, 12, 2.7) + rng.uniform(-1, 1):
        canvas.pipe(_Pipe((x, back, 0), (x, back, 1.45), 0.11, colour))
    if rng.random() < 0.4:
        canvas.trough(rng.uniform(-3.5, 3.5), back - 0.3, 1.3, (120, 105, 80))
    front = _front_rails(camera, 1.06, (0.5, 1.0), 0.07, colour) if rng.random() < 0.4 else ()
    return _lit(rng, canvas, (-50.0, back - 0.6), front)


def paint_pipe(picture: np.ndarray, camera: Camera, pipe: _Pipe) -> None:
    """Draw a pipe in place: a dark line, its colour, a highlight."""
    points = np.array([pipe.start, pipe.end], dtype=float)
    depth = camera.depth(points).clip(0.3)
    if depth.max() <= 0.3:
        return
    line = np.clip(camera.project(points), -20000, 20000)
    thick = pipe.thick_m * camera.focal_px / float(depth.mean())
    flat = abs(line[0, 0] - line[1, 0]) > abs(line[0, 1] - line[1, 1])
    lift = np.array([0.0, thick * 0.2] if flat else [thick * 0.2, 0.0])
    for share, bright, move in ((1.0, 0.45, 0.0), (0.72, 0.85, 0.0), (0.25, 1.25, -1.0)):
        ends = np.round((line + move * lift) * 16).astype(int).tolist()
        tone = [min(255.0, c * bright) for c in pipe.colour]
        cv2.line(picture, ends[0], ends[1], tone, max(1, round(thick * share)), cv2.LINE_AA, 4)


class _Canvas:
    """A picture that grows from the floor up."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.size = (camera.width_px, camera.height_px)
        self.picture: np.ndarray = np.zeros((camera.height_px, camera.width_px, 3), dtype=np.uint8)
        self._ground = camera.plane((0, 0, 0), (1, 0, 0), (0, 1, 0))

    def floor(
        self,
        texture: str,
        along_y: tuple[float, float],
        tint,
        turned: bool = False,
        ragged: float = 0,
    ) -> None:
        """Cover the floor between two y with a texture; `ragged` metres of uneven border."""
        low, high = (float(np.clip(y, -30, 30)) for y in along_y)
        if ragged:
            x = np.linspace(-30, 30, 400)
            bumps = smooth_noise(512, 24.0, 2)[7, :400].astype(float) - 0.5
            corners = [(-30, low), (30, low), *zip(x[::-1], high + ragged * bumps, strict=True)]
        else:
            corners = [(-60, low), (60, low), (60, high), (-60, high)]
        self._cover(texture, self._ground, corners, tint, turned)

    def wall(self, origin, length_m: float, height_m: float, texture: str, tint) -> None:
        """An upright wall along x from `origin`, with a shade at its foot."""
        plane = self.camera.plane(origin, (1, 0, 0), (0, 0, 1))
        corners = [(0, 0), (length_m, 0), (length_m, height_m), (0, height_m)]
        self._cover(texture, plane, corners, tint)
        y = round(float(self.camera.project([origin])[0, 1]))
        reach = max(2, round(0.25 * self.camera.px_a_metre))
        band = self.picture[max(0, y) : max(0, y + reach)]
        if band.size:
            fade = np.linspace(0.5, 1, reach)[-len(band) :, None, None]
            band[:] = (band * fade).astype(np.uint8)

    def dirt(
        self,
        rng: np.random.Generator,
        colour: Colour,
        strength: float,
        share: float,
        bumps_a_m: float,
    ) -> None:
        """Smeared blotches on the floor, on about `share` of it, with ragged borders."""
        soft = self._floor_noise(rng, bumps_a_m) * 0.75
        soft = soft + self._floor_noise(rng, bumps_a_m * 6) * 0.25
        weight = strength * np.clip((share - soft) * 5, 0, 1)
        self._blend(np.full_like(self.picture, colour), weight)

    def scatter(self, texture: str, along_y: tuple[float, float], tint) -> None:
        """Wisps of a texture, fewer and fewer from the first y to the second."""
        rows = self.camera.project([(0, y, 0) for y in along_y])[:, 1]
        ends = (0, 1) if rows[0] > rows[1] else (1, 0)
        fade = np.interp(np.arange(self.size[1]), sorted(rows), ends)
        soft = self._floor_noise(np.random.default_rng(5), 5.0)
        weight = np.clip((0.45 * fade[:, None].astype(np.float32) - soft) * 6, 0, 1)
        weight[: max(0, int(min(rows)))] = 0
        self._blend(self._warped(texture, self._ground, tint), weight)

    def pipe(self, pipe: _Pipe) -> None:
        """A rail or post."""
        paint_pipe(self.picture, self.camera, pipe)

    def trough(self, x: float, y: float, length_m: float, inside: Colour = (52, 76, 98)) -> None:
        """A steel trough, filled."""
        half, rim = length_m / 2, 0.24
        ends = (x - half, 0.0), (x + half, 0.0), (x + half, rim), (x - half, rim)
        self._polygon([(at, y - 0.22, z) for at, z in ends], (112, 116, 118))
        for narrower, far, tone in (
            (0.0, 0.22, (182, 186, 188)),
            (0.05, 0.17, (70, 74, 76)),
            (0.05, 0.12, inside),
        ):
            left, right, near = x - half + narrower, x + half - narrower, y - 0.22 + narrower
            corners = (left, near), (right, near), (right, y + far), (left, y + far)
            self._polygon([(*corner, rim) for corner in corners], tone)

    def _polygon(self, corners, tone: Colour) -> None:
        px = np.round(self.camera.project(corners) * 16).astype(np.int32)
        cv2.fillPoly(self.picture, [px], tone, cv2.LINE_AA, 4)

    def _floor_noise(self, rng: np.random.Generator, bumps_a_metre: float) -> np.ndarray:
        step = 512 / 24.0 * bumps_a_metre
        shift = rng.uniform(0, 512, 2)
        to_m = np.linalg.inv(np.array([[step, 0, shift[0]], [0, step, shift[1]], [0, 0, 1]]))
        return self._wrapped(smooth_noise(512, 24.0, 2), self._ground @ to_m)

    def _warped(self, texture: str, plane: Floats, tint, turned: bool = False) -> np.ndarray:
        picture = tile(texture, self.camera.px_a_metre)
        toned = np.clip(picture * np.asarray(tint, dtype=np.float32), 0, 255).astype(np.uint8)
        if turned:
            toned = np.ascontiguousarray(toned.transpose(1, 0, 2))
        step = TILE_M / len(toned)
        return self._wrapped(toned, plane @ np.diag([step, step, 1]))

    def _wrapped(self, picture: np.ndarray, to_px: Floats) -> np.ndarray:
        return cv2.warpPerspective(
            picture, to_px, self.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )

    def _cover(self, texture: str, plane: Floats, corners, tint, turned: bool = False) -> None:
        outline = project_polygon(plane, corners)
        mask = np.zeros((self.size[1], self.size[0]), dtype=np.uint8)
        if len(outline) >= 3:
            cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        if mask.any():
            self._blend(self._warped(texture, plane, tint, turned), mask / np.float32(255))

    def _blend(self, over: np.ndarray, weight: np.ndarray) -> None:
        weight = weight.astype(np.float32)
        self.picture = cv2.blendLinear(over, self.picture, weight, 1 - weight)


def _camera(
    rng: np.random.Generator,
    width_px: int,
    height_px: int,
    px_a_metre: float,
    pitch_degrees: tuple[float, float],
) -> Camera:
    """A camera that shows so many px a metre at 1920 px, and as much of the barn in any frame."""
    focal = width_px * rng.uniform(0.66, 0.95)
    distance = focal / (px_a_metre * width_px / 1920)
    return Camera(width_px, height_px, focal, distance, np.radians(rng.uniform(*pitch_degrees)))


def _front_rails(
    camera: Camera,
    row: float,
    heights_m: tuple[float, ...],
    thick_m: float,
    colour: Colour = _STEEL,
) -> tuple[_Pipe, ...]:
    """Rails between the camera and the animals, near the lower border of the frame."""
    y = float(camera.floor([[camera.width_px / 2, camera.height_px * row]])[0, 1])
    return tuple(_Pipe((-9, y, z), (9, y, z), thick_m, colour) for z in heights_m)


def _lit(
    rng: np.random.Generator, canvas: _Canvas, pen_m: tuple[float, float], front: tuple[_Pipe, ...]
) -> Barn:
    """Close a canvas with its light: lamps, a window's slope, sun by day, a vignette."""
    camera = canvas.camera
    width, height = 240, 135
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    night = bool(rng.random() < 0.12)
    light = np.full((height, width), 0.66 if night else 0.95)
    for _ in range(rng.integers(1, 4)):
        (x0, y0), reach = rng.uniform(-0.9, 0.9, 2), rng.uniform(0.35, 0.8)
        light += rng.uniform(0.08, 0.28) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / reach**2)
    light *= 1 + rng.uniform(-0.15, 0.15) * x + rng.uniform(-0.12, 0.12) * y
    warm = rng.uniform(-0.06, 0.06)
    colour = light[..., None] * np.array([1 - warm, 1.0, 1 + warm])
    if not night and rng.random() < 0.4:
        sun = _sun_patches(rng, camera, width, height)[..., None]
        colour = colour * (1 + sun * np.array([0.28, 0.4, 0.48]) * rng.uniform(0.6, 1.1))
    colour *= (1 - rng.uniform(0.12, 0.32) * (x**2 + y**2) / 2)[..., None]
    lamp = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.45, 0.3), 1.0])
    lamp /= np.linalg.norm(lamp)
    colour, breed = colour.astype(np.float32), float(rng.random())
    return Barn(camera, canvas.picture, colour, lamp, pen_m, front, night, breed)


def _sun_patches(rng: np.random.Generator, camera: Camera, width: int, height: int) -> np.ndarray:
    """Where the sun falls through a row of openings, 0-1 (height, width)."""
    mask = np.zeros((height, width), dtype=np.float32)
    slant, first, y = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(-1.2, 1.2)
    deep, wide = rng.uniform(0.5, 1.1), rng.uniform(0.7, 1.2)
    for left in first + np.arange(-4, 5) * wide * 1.9:
        far = left + slant * deep
        corners = [(left, y, 0), (left + wide, y, 0), (far + wide, y + deep, 0), (far, y + deep, 0)]
        px = camera.project(corners) * (width / camera.width_px, height / camera.height_px)
        cv2.fillPoly(mask, [np.round(px * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(mask, (0, 0), 1.6)
