"""Barns of the sample: a camera over a floor, textured floors and walls, rails, light."""

import dataclasses
import functools

import cv2
import numpy as np
import numpy.typing as npt

from livestock_utils.animals import Array, smooth_noise

Frame = npt.NDArray[np.uint8]
TILE_PX, TILE_M = 1024, 4.0


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera over the floor that looks along +y and down at the floor's origin.

    `focal_px`, `distance_m` to the origin, `pitch` in radians below the horizon; the frame's size in pixels.
    """

    width_px: int
    height_px: int
    focal_px: float
    distance_m: float
    pitch: float

    @property
    def position(self) -> Array:
        """Place of the camera (3,) in metres."""
        return self.distance_m * np.array([0, -np.cos(self.pitch), np.sin(self.pitch)])

    @property
    def axes(self) -> Array:
        """Rows (3, 3): right, down in the picture, into the picture."""
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1.0, 0, 0], [0, -s, -c], [0, c, -s]])

    def project(self, points_m: npt.ArrayLike) -> Array:
        """Points (n, 3) in metres -> pixels (n, 2)."""
        seen = (np.atleast_2d(np.asarray(points_m, dtype=float)) - self.position) @ self.axes.T
        centre = np.array([self.width_px / 2, self.height_px / 2])
        return self.focal_px * seen[:, :2] / np.maximum(seen[:, 2:], 0.05) + centre

    def floor(self, px: npt.ArrayLike) -> Array:
        """Pixels (n, 2) below the horizon -> points of the floor (n, 3) in metres."""
        px = np.atleast_2d(np.asarray(px, dtype=float))
        ray = np.column_stack([(px - [self.width_px / 2, self.height_px / 2]) / self.focal_px, np.ones(len(px))]) @ self.axes
        return self.position + ray * (-self.position[2] / np.minimum(ray[:, 2:], -1e-3))

    def tangent(self, point_m: Array) -> tuple[Array, Array]:
        """Derivative (2, 3) of the projection at a point, in px a metre, and the direction (3,) toward the camera."""
        x, y, z = self.axes @ (point_m - self.position)
        slope = self.focal_px / z * np.array([[1, 0, -x / z], [0, 1, -y / z]]) @ self.axes
        toward = self.position - point_m
        return slope, toward / np.linalg.norm(toward)

    def plane(self, origin: npt.ArrayLike, along: npt.ArrayLike, up: npt.ArrayLike) -> Array:
        """Homography (3, 3) from plane coordinates (metres along two axes from an origin) to pixels."""
        lens = np.array([[self.focal_px, 0, self.width_px / 2], [0, self.focal_px, self.height_px / 2], [0, 0, 1]])
        columns = np.column_stack([along, up, np.asarray(origin, dtype=float) - self.position])
        return lens @ self.axes @ columns


@dataclasses.dataclass(frozen=True, eq=False)
class Barn:
    """An empty barn: camera, picture (h, w, 3), where animals stand (y from..to in metres), light, rails in front."""

    camera: Camera
    picture: Frame
    light: npt.NDArray[np.float32]
    lamp: Array
    pen_m: tuple[float, float]
    front_rails: tuple[tuple[Array, Array, float, tuple[float, float, float]], ...]
    night: bool


def pig_barn(rng: np.random.Generator, width_px: int, height_px: int) -> Barn:
    """A pen with a slatted or bare concrete floor, board partitions, a steel trough and stains."""
    camera = _camera(rng, width_px, height_px, rng.uniform(245, 300), (54, 76))
    canvas = _Canvas(camera)
    back = float(camera.floor([[camera.width_px / 2, camera.height_px * rng.uniform(-0.02, 0.16)]])[0, 1])
    tint = np.array(rng.choice([(0.95, 1.0, 1.03), (1.0, 1.0, 1.0), (0.9, 0.97, 1.05)])) * rng.uniform(0.85, 1.05)
    canvas.floor("concrete", (-50, 50), tint)
    solid = rng.uniform(-0.5, 0.6) if rng.random() < 0.5 else -50.0
    canvas.floor("slats", (solid, 50), tint * rng.uniform(0.9, 1.05), turn=rng.random() < 0.4)
    if solid > -50:
        canvas.wall((-50, solid, 0), 100, 0.07, "concrete", tint * 0.7)
    canvas.stain(rng, (45, 66, 84), 0.75, rng.uniform(0.3, 0.55))
    canvas.stain(rng, (40, 42, 44), 0.5, 0.35, waves_m=0.9)
    board = np.array([(200, 205, 205), (150, 165, 140), (120, 140, 165)][rng.integers(3)]) / 160
    canvas.wall((-50, back, 0), 100, rng.uniform(0.9, 1.2), "boards", board)
    for x in np.arange(-9, 10, 2.4) + rng.uniform(-1, 1):
        canvas.pipe((x, back - 0.04, 0), (x, back - 0.04, 1.25), 0.07)
    canvas.pipe((-20, back - 0.05, 1.1), (20, back - 0.05, 1.1), 0.06)
    canvas.trough((rng.uniform(-2, 2), back - 0.28, 0), 1.6)
    rails = []
    if rng.random() < 0.7:
        x = float(rng.choice([-1, 1]) * rng.uniform(0.42, 0.48)) * width_px / camera.focal_px * camera.distance_m
        for z in (0.25, 0.55, 0.9):
            canvas.pipe((x, back, z), (x, -8, z), 0.05)
        for y in np.arange(back, -6, -1.5):
            canvas.pipe((x, y, 0), (x, y, 1.0), 0.06)
    if rng.random() < 0.5:
        near = float(camera.floor([[width_px / 2, height_px * 1.03]])[0, 1])
        rails = [(np.array((-9, near, z)), np.array((9, near, z)), 0.05, (165, 170, 172)) for z in (0.35, 0.75)]
    return _lit(rng, canvas, (-50.0, back - 0.25), rails)


def cow_barn(rng: np.random.Generator, width_px: int, height_px: int) -> Barn:
    """A pen with straw bedding, a concrete alley, a rail, and feed on the alley behind it."""
    camera = _camera(rng, width_px, height_px, rng.uniform(172, 225), (44, 68))
    canvas = _Canvas(camera)
    back = float(camera.floor([[camera.width_px / 2, camera.height_px * rng.uniform(0.08, 0.24)]])[0, 1])
    tint = np.array(rng.choice([(0.92, 0.98, 1.02), (1.0, 1.0, 1.0)])) * rng.uniform(0.85, 1.05)
    straw = np.array([(0.95, 0.97, 1.0), (0.72, 0.78, 0.84), (0.8, 0.95, 1.02)][rng.integers(3)]) * rng.uniform(0.85, 1.05)
    canvas.floor("concrete", (-50, 50), tint)
    kerb = back - rng.uniform(0.6, 2.6)
    kind = rng.random()
    if kind < 0.75:
        canvas.floor("straw", (-50, kerb), straw)
        canvas.wall((-50, kerb, 0), 100, 0.1, "concrete", tint * 0.75)
    else:
        canvas.floor("grooves", (-50, back), tint * 0.95)
    canvas.stain(rng, (38, 52, 66), 0.75, rng.uniform(0.25, 0.5), waves_m=1.6)
    canvas.floor("feed", (back + 0.25, back + 1.3), np.array((1.0, 1.0, 1.0)))
    canvas.wall((-50, back, 0), 100, 0.45, "concrete", tint * 0.9)
    far = back + rng.uniform(3.5, 6)
    canvas.wall((-50, far, 0), 100, 6, "boards", np.array((0.75, 0.82, 0.85)) * rng.uniform(0.6, 1.1))
    colour = [(165, 170, 172), (110, 140, 90), (60, 90, 150)][rng.integers(3)]
    for z in (0.75, 1.15):
        canvas.pipe((-20, back, z), (20, back, z), 0.06, colour)
    for x in np.arange(-12, 12, 2.7) + rng.uniform(-1, 1):
        canvas.pipe((x, back, 0), (x, back, 1.45), 0.11, colour)
    if rng.random() < 0.5:
        for x in np.arange(-12, 12, 0.45) + rng.uniform(-0.2, 0.2):
            canvas.pipe((x, back, 0.45), (x + 0.1, back, 1.15), 0.035, colour)
    rails = []
    if rng.random() < 0.45:
        near = float(camera.floor([[width_px / 2, height_px * 1.06]])[0, 1])
        rails = [(np.array((-9, near, z)), np.array((9, near, z)), 0.07, colour) for z in (0.5, 1.0)]
    return _lit(rng, canvas, (-50.0, back - 0.55), rails)


def paint_pipe(picture: Frame, camera: Camera, start: Array, end: Array, thick_m: float, colour) -> None:
    """Draw a round pipe between two points in place: a dark line, the colour, a highlight."""
    points = np.array([start, end], dtype=float)
    depth = ((points - camera.position) @ camera.axes[2]).clip(0.3)
    if depth.max() <= 0.3:
        return
    line = np.clip(camera.project(points), -20000, 20000)
    thick = thick_m * camera.focal_px / depth.mean()
    middle = np.round(line * 16).astype(int)
    shift = np.array([0, max(1, round(-thick * 0.2 * 16))]) if abs(line[0, 0] - line[1, 0]) > abs(line[0, 1] - line[1, 1]) else np.array(
        [max(1, round(thick * 0.2 * 16)), 0])
    for part, bright, move in ((1.0, 0.45, 0), (0.72, 0.85, 0), (0.25, 1.25, -1)):
        ends = middle + move * np.abs(shift)
        tone = tuple(float(min(255, c * bright)) for c in colour)
        cv2.line(picture, ends[0].tolist(), ends[1].tolist(), tone, max(1, round(thick * part)), cv2.LINE_AA, 4)


class _Canvas:
    """A picture that grows from the floor up."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.picture: Frame = np.zeros((camera.height_px, camera.width_px, 3), dtype=np.uint8)

    def floor(self, texture: str, along_y: tuple[float, float], tint, turn: bool = False) -> None:
        """Cover the floor between two y with a texture."""
        plane = self.camera.plane((0, 0, 0), (1, 0, 0), (0, 1, 0))
        low, high = (float(np.clip(y, -30, 30)) for y in along_y)
        self._paste(texture, plane, [(-60, low), (60, low), (60, high), (-60, high)], tint, turn)

    def wall(self, origin, length_m: float, height_m: float, texture: str, tint) -> None:
        """An upright wall along x from `origin`."""
        plane = self.camera.plane(origin, (1, 0, 0), (0, 0, 1))
        self._paste(texture, plane, [(0, 0), (length_m, 0), (length_m, height_m), (0, height_m)], tint)
        foot = self.camera.project([np.array(origin), np.array(origin) + (length_m, 0, 0)])
        thick = max(1, round(0.05 * self.camera.focal_px / self.camera.distance_m))
        y = round(float(foot[0, 1]))
        band = self.picture[max(0, y - thick // 2) : max(0, y + thick)]
        band[:] = (band * 0.55).astype(np.uint8)

    def stain(self, rng: np.random.Generator, colour, strength: float, share: float, waves_m: float = 2.2) -> None:
        """Blotches of dirt on the floor, `share` of it."""
        noise = smooth_noise(512, 24.0, 2)
        plane = self.camera.plane((0, 0, 0), (1, 0, 0), (0, 1, 0))
        step = 512 / 24.0 / waves_m * 2
        texture_to_m = np.array([[1 / step, 0, rng.uniform(0, 20)], [0, 1 / step, rng.uniform(0, 20)], [0, 0, 1]])
        size = (self.camera.width_px, self.camera.height_px)
        soft = cv2.warpPerspective(noise, plane @ texture_to_m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        weight = strength * np.clip((share - soft) * 3, 0, 1)[..., None]
        self.picture = (self.picture * (1 - weight) + np.float32(colour) * weight).astype(np.uint8)

    def pipe(self, start, end, thick_m: float, colour=(165, 170, 172)) -> None:
        """A rail or post with its soft shade on the floor."""
        paint_pipe(self.picture, self.camera, np.array(start, dtype=float), np.array(end, dtype=float), thick_m, colour)

    def trough(self, middle, length_m: float) -> None:
        """A steel feeding trough: a box seen from above, dark feed inside."""
        x, y, _ = middle
        for (low, high, depth, tone) in ((0.0, 0.22, 0.22, (120, 124, 126)), (0.22, 0.22, 0.22, (178, 182, 184))):
            corners = [(x - length_m / 2, y - depth, low), (x + length_m / 2, y - depth, low),
                       (x + length_m / 2, y - depth if high > low else y + depth, high),
                       (x - length_m / 2, y - depth if high > low else y + depth, high)]
            self._polygon(corners, tone)
        inner = 0.05
        self._polygon([(x - length_m / 2 + inner, y - 0.17, 0.22), (x + length_m / 2 - inner, y - 0.17, 0.22),
                       (x + length_m / 2 - inner, y + 0.17, 0.22), (x - length_m / 2 + inner, y + 0.17, 0.22)], (52, 76, 98))

    def _polygon(self, corners, tone) -> None:
        px = np.round(self.camera.project(corners) * 16).astype(np.int32)
        cv2.fillPoly(self.picture, [px], tone, cv2.LINE_AA, 4)

    def _paste(self, texture: str, plane: Array, corners, tint, turn: bool = False) -> None:
        size = (self.camera.width_px, self.camera.height_px)
        tile = _tile(texture, self.camera.focal_px / self.camera.distance_m)
        if turn:
            tile = np.ascontiguousarray(tile.transpose(1, 0, 2))
        step = TILE_M / tile.shape[0]
        warped = cv2.warpPerspective(tile, plane @ np.diag([step, step, 1]), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        outline = _project_polygon(plane, np.array(corners, dtype=float))
        mask = np.zeros((size[1], size[0]), dtype=np.uint8)
        if len(outline) >= 3:
            cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        weight = mask[..., None] / np.float32(255)
        toned = np.clip(warped * np.float32(tint), 0, 255)
        self.picture = (self.picture * (1 - weight) + toned * weight).astype(np.uint8)


def _project_polygon(plane: Array, corners: Array) -> Array:
    """Corners (n, 2) of a plane's polygon in pixels, cut where it would pass behind the camera."""
    seen = np.column_stack([corners, np.ones(len(corners))]) @ plane.T
    near, kept = 0.2, []
    for here, there in zip(seen, np.roll(seen, -1, axis=0), strict=True):
        if here[2] >= near:
            kept.append(here)
        if (here[2] >= near) != (there[2] >= near):
            kept.append(here + (there - here) * (near - here[2]) / (there[2] - here[2]))
    points = np.array(kept).reshape(-1, 3)
    return np.clip(points[:, :2] / points[:, 2:], -60000, 60000)


def _camera(rng: np.random.Generator, width_px: int, height_px: int, px_a_metre: float, pitch_degrees: tuple[float, float]) -> Camera:
    px_a_metre *= width_px / 1920
    focal = width_px * rng.uniform(0.66, 0.95)
    return Camera(width_px, height_px, focal, focal / px_a_metre, np.radians(rng.uniform(*pitch_degrees)))


def _lit(rng: np.random.Generator, canvas: _Canvas, pen_m: tuple[float, float], rails) -> Barn:
    """Close a canvas: the light over it (lamps, a window's slope, vignette), day or night."""
    camera = canvas.camera
    width, height = 96, 54
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    night = bool(rng.random() < 0.12)
    light = np.full((height, width), 0.5 if night else 0.82)
    for _ in range(rng.integers(1, 4)):
        cx, cy, reach = rng.uniform(-0.9, 0.9), rng.uniform(-0.9, 0.9), rng.uniform(0.35, 0.8)
        light += rng.uniform(0.1, 0.3) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / reach**2)
    light *= 1 + rng.uniform(-0.15, 0.15) * x + rng.uniform(-0.12, 0.12) * y
    light *= 1 - rng.uniform(0.12, 0.3) * (x**2 + y**2) / 2
    warm = rng.uniform(-0.07, 0.07)
    rgb = light[..., None] * np.array([1 - warm, 1.0, 1 + warm])
    lamp = np.array([rng.uniform(-0.45, 0.45), rng.uniform(-0.45, 0.3), 1.0])
    return Barn(camera, canvas.picture, rgb.astype(np.float32), lamp / np.linalg.norm(lamp), pen_m, tuple(rails), night)


@functools.cache
def _tile(texture: str, px_a_metre: float) -> Frame:
    """A tileable texture of TILE_M x TILE_M metres, shrunk so that it has no more detail than the frame shows."""
    full = _TEXTURES[texture]()
    side = TILE_PX
    while side > 32 and side / TILE_M > px_a_metre * 1.5:
        side //= 2
    return full if side == TILE_PX else cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA)


@functools.cache
def _concrete() -> Frame:
    coarse, fine, grain = (smooth_noise(TILE_PX, waves, seed) for waves, seed in ((10, 3), (60, 4), (300, 5)))
    grey = 132 + 26 * (coarse - 0.5) + 18 * (fine - 0.5) + 22 * (grain - 0.5)
    return np.clip(grey[..., None] * np.float32((0.97, 1.0, 1.02)), 0, 255).astype(np.uint8)


@functools.cache
def _slats() -> Frame:
    tile = _concrete().copy()
    step, gap = TILE_PX // 32, 7
    for row in range(32):
        for column in range(4):
            left, right, top = column * 256 + 14, column * 256 + 242, row * step + 10
            cv2.rectangle(tile, (left, top), (right, top + gap), (22, 25, 28), -1)
            cv2.line(tile, (left, top + gap + 1), (right, top + gap + 1), (165, 170, 172), 1)
    return cv2.GaussianBlur(tile, (3, 3), 0)


@functools.cache
def _grooves() -> Frame:
    tile = (_concrete() * 0.9).astype(np.uint8)
    for at in range(0, TILE_PX, 64):
        cv2.line(tile, (at, 0), (at, TILE_PX), (70, 74, 76), 4)
        cv2.line(tile, (0, at), (TILE_PX, at), (70, 74, 76), 4)
    return cv2.GaussianBlur(tile, (5, 5), 0)


@functools.cache
def _straw() -> Frame:
    return _strokes(11, (70, 105, 135), ((95, 150, 190), (125, 185, 220), (70, 115, 150), (50, 80, 105), (150, 205, 232)), 9000, 46)


@functools.cache
def _feed() -> Frame:
    return _strokes(12, (50, 95, 100), ((70, 140, 135), (60, 115, 110), (95, 165, 170), (40, 75, 80)), 9000, 26)


@functools.cache
def _boards() -> Frame:
    tile = (_concrete().astype(np.float32) * 1.15).clip(0, 255).astype(np.uint8)
    grain = cv2.resize(smooth_noise(256, 60, 6), (TILE_PX * 4, TILE_PX))[:, :TILE_PX]
    tile = (tile * (0.9 + 0.2 * grain[..., None])).clip(0, 255).astype(np.uint8)
    for at in range(0, TILE_PX, 64):
        cv2.line(tile, (0, at), (TILE_PX, at), (75, 78, 80), 4)
        cv2.line(tile, (0, at + 5), (TILE_PX, at + 5), (205, 208, 210), 2)
    return tile


def _strokes(seed: int, ground, colours, count: int, length_px: int) -> Frame:
    """A tile of short crossing strokes that wraps around."""
    rng = np.random.default_rng([78, seed])
    tile = np.empty((TILE_PX, TILE_PX, 3), dtype=np.uint8)
    tile[:] = ground
    start = rng.uniform(0, TILE_PX, (count, 2))
    angle, length = rng.uniform(0, np.pi, count), rng.uniform(0.4, 1.0, count) * length_px
    end = start + np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]
    shade, which, thick = rng.uniform(0.65, 1.1, count), rng.integers(0, len(colours), count), rng.integers(1, 4, count)
    for i in range(count):
        tone = tuple(float(min(255, c * shade[i])) for c in colours[which[i]])
        for dx in {0, -TILE_PX * int(end[i, 0] // TILE_PX)}:
            for dy in {0, -TILE_PX * int(end[i, 1] // TILE_PX)}:
                a, b = np.round(start[i] + (dx, dy)).astype(int), np.round(end[i] + (dx, dy)).astype(int)
                cv2.line(tile, a.tolist(), b.tolist(), tone, int(thick[i]), cv2.LINE_AA)
    clumps = smooth_noise(TILE_PX, 14, 7)
    return (tile * (0.72 + 0.42 * clumps[..., None])).clip(0, 255).astype(np.uint8)


_TEXTURES = {"concrete": _concrete, "slats": _slats, "grooves": _grooves, "straw": _straw, "feed": _feed, "boards": _boards}
