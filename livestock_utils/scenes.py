"""Livestock scenes of the sample: animals placed in a barn, drawn far to near, with the box of what is seen of each."""

import dataclasses

import cv2
import numpy as np

from livestock_utils import animals, barns
from livestock_utils.animals import Array, Body, Coat
from livestock_utils.barns import Barn, Frame


@dataclasses.dataclass(frozen=True)
class Animal:
    """A body at a place of the floor (3,) in metres, turned by `yaw` radians."""

    body: Body
    place_m: Array
    yaw: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """A drawn scene: the picture (h, w, 3) BGR, boxes (n, 4) xyxy in pixels, and the share of each animal that is seen."""

    picture: Frame
    xyxy: Array
    seen: Array


_PIG_COATS = (
    (Coat((158, 178, 218), (60, 64, 74), (135, 145, 212), gloss=0.07), 0.62),
    (Coat((40, 72, 128), (40, 72, 128), (70, 80, 130), gloss=0.06), 0.13),
    (Coat((158, 178, 216), (48, 50, 58), (135, 145, 212), share=0.3, patches_per_m=2.2, gloss=0.06), 0.17),
    (Coat((46, 46, 52), (160, 178, 212), (80, 84, 110), share=0.12, patches_per_m=0.9, gloss=0.08), 0.08),
)
_COW_COATS = (
    (Coat((218, 226, 230), (36, 34, 38), (140, 150, 195), share=0.52, patches_per_m=0.85, gloss=0.02), 0.45),
    (Coat((62, 112, 172), (62, 112, 172), (110, 130, 175), gloss=0.03), 0.32),
    (Coat((210, 222, 230), (44, 72, 122), (140, 150, 195), share=0.55, patches_per_m=0.8, gloss=0.02), 0.1),
    (Coat((40, 42, 50), (40, 42, 50), (60, 64, 80), gloss=0.04), 0.13),
)
_HERDS = {
    "pig": (animals.pig, barns.pig_barn, _PIG_COATS, ("standing", "lying", "side"), (0.5, 0.25, 0.25), 0.88),
    "cow": (animals.cow, barns.cow_barn, _COW_COATS, ("standing", "lying"), (0.68, 0.32), 0.95),
}


def build_barn(rng: np.random.Generator, species: str, width_px: int, height_px: int) -> Barn:
    """An empty barn for a species of the sample ("pig" or "cow")."""
    return _HERDS[species][1](rng, width_px, height_px)


def populate(rng: np.random.Generator, barn: Barn, species: str, count: int) -> list[Animal]:
    """Place `count` animals so that they overlap but do not stand in each other; fewer where the pen is full."""
    make, _, coats, poses, chances, spacing = _HERDS[species]
    shares = np.array([share for _, share in coats])
    # A herd is mostly of one breed.
    shares = np.where(np.arange(len(coats)) == rng.choice(len(coats), p=shares), 0.75, 0) + 0.25 * shares
    herd: list[Animal] = []
    while len(herd) < count:
        coat = coats[rng.choice(len(coats), p=shares)][0]
        tone = rng.uniform(0.88, 1.08)
        coat = dataclasses.replace(
            coat, base=_toned(coat.base, tone), offset=tuple(rng.uniform(0, 50, 2)), dirt=rng.uniform(0.05, 0.4),
            share=coat.share * rng.uniform(0.6, 1.35),
        )
        body = make(rng, coat, str(rng.choice(poses, p=chances)))
        animal = _place(rng, barn, body, herd, spacing)
        if animal is None:
            break
        herd.append(animal)
    return herd


def move(rng: np.random.Generator, herd: list[Animal]) -> list[Animal]:
    """The same animals a moment later: small steps along their heading and small turns."""
    moved = []
    for animal in herd:
        step, turn = (rng.normal(0, 0.05), rng.normal(0, 0.05)) if rng.random() < 0.6 else (0.0, 0.0)
        ahead = np.array([np.cos(animal.yaw), np.sin(animal.yaw), 0]) * step
        moved.append(dataclasses.replace(animal, place_m=animal.place_m + ahead, yaw=animal.yaw + turn))
    return moved


def draw_scene(rng: np.random.Generator, barn: Barn, herd: list[Animal], min_seen: float = 0.3) -> Scene:
    """Draw the herd; animals of which less than `min_seen` would show are left out. Boxes are in herd order."""
    camera = barn.camera
    herd = sorted(herd, key=lambda a: -float(np.linalg.norm(a.place_m - camera.position)))
    sprites = [_sprite(barn, animal) for animal in herd]
    while True:
        xyxy, seen = _visible(sprites, camera.width_px, camera.height_px)
        hidden = np.flatnonzero(seen < min_seen)
        if not len(hidden):
            break
        worst = hidden[np.argmin(seen[hidden])]
        del sprites[worst], herd[worst]
    picture = barn.picture.copy()
    for animal, sprite in zip(herd, sprites, strict=True):
        _cast_shadow(picture, barn, animal)
        _paste(picture, sprite)
    for start, end, thick, colour in barn.front_rails:
        barns.paint_pipe(picture, camera, start, end, thick, colour)
    return Scene(_develop(rng, barn, picture), xyxy, seen)


def _toned(colour: tuple[float, float, float], tone: float) -> tuple[float, float, float]:
    return (min(colour[0] * tone, 245.0), min(colour[1] * tone, 245.0), min(colour[2] * tone, 245.0))


def _place(rng: np.random.Generator, barn: Barn, body: Body, herd: list[Animal], spacing: float) -> Animal | None:
    """A free place for a body, spread evenly over the picture; None after many tries."""
    camera = barn.camera
    others = np.concatenate([_footprint(a.body, a.place_m, a.yaw) for a in herd]) if herd else np.zeros((0, 3))
    for attempt in range(90):
        px = rng.uniform((-0.02, -0.02), (1.02, 1.04)) * (camera.width_px, camera.height_px)
        place = camera.floor([px])[0]
        yaw = rng.uniform(-np.pi, np.pi)
        mine = _footprint(body, place, yaw)
        if not (barn.pen_m[0] < mine[:, 1].min() and mine[:, 1].max() < barn.pen_m[1]):
            continue
        if not len(others):
            return Animal(body, place, yaw)
        gap = np.linalg.norm(mine[:, None, :2] - others[None, :, :2], axis=2) / (mine[:, None, 2] + others[None, :, 2])
        if gap.min() > spacing * (1 if attempt < 60 else 0.85):
            return Animal(body, place, yaw)
    return None


def _footprint(body: Body, place_m: Array, yaw: float) -> Array:
    """Four circles (x, y, radius) in metres along a body."""
    along = np.linspace(-0.4, 0.42, 4) * body.length_m
    return np.column_stack([place_m[0] + along * np.cos(yaw), place_m[1] + along * np.sin(yaw), np.full(4, body.radius_m)])


def _maps(barn: Barn, animal: Animal) -> tuple[Array, Array, Array, Array]:
    """Map of the body's metres to pixels, direction to the camera and to the lamp in the body's frame, place in pixels."""
    turn = animals.turned(animal.yaw)
    middle = animal.place_m + (0, 0, animal.body.centres[:, 2].mean())
    slope, toward = barn.camera.tangent(middle)
    at = barn.camera.project(middle)[0] - slope @ (middle - animal.place_m)
    return slope @ turn, toward @ turn, barn.lamp @ turn, at


def _sprite(barn: Barn, animal: Animal) -> animals.Sprite:
    return animals.draw(animal.body, *_maps(barn, animal))


def _window(sprite: animals.Sprite, width: int, height: int) -> tuple[slice, slice, slice, slice]:
    """Rows and columns of the frame that a sprite covers, and the sprite's own rows and columns there."""
    rows, columns = sprite.alpha.shape
    top, bottom = max(0, sprite.top), max(0, min(height, sprite.top + rows))
    left, right = max(0, sprite.left), max(0, min(width, sprite.left + columns))
    return (slice(top, bottom), slice(left, right), slice(top - sprite.top, bottom - sprite.top),
            slice(left - sprite.left, right - sprite.left))


def _visible(sprites: list[animals.Sprite], width: int, height: int) -> tuple[Array, Array]:
    """Boxes (n, 4) of what is seen of each sprite when later ones cover earlier ones, and the shares seen."""
    owner = np.full((height, width), -1, dtype=np.int16)
    for i, sprite in enumerate(sprites):
        y, x, sy, sx = _window(sprite, width, height)
        owner[y, x][sprite.alpha[sy, sx] > 0.5] = i
    xyxy, seen = np.zeros((len(sprites), 4)), np.zeros(len(sprites))
    for i, sprite in enumerate(sprites):
        y, x, _, _ = _window(sprite, width, height)
        mine = owner[y, x] == i
        total = max(1, int((sprite.alpha > 0.5).sum()))
        seen[i] = mine.sum() / total
        columns, rows = np.flatnonzero(mine.any(axis=0)), np.flatnonzero(mine.any(axis=1))
        if len(columns):
            xyxy[i] = (x.start + columns[0], y.start + rows[0], x.start + columns[-1] + 1, y.start + rows[-1] + 1)
    return xyxy, seen


def _cast_shadow(picture: Frame, barn: Barn, animal: Animal) -> None:
    """Darken the floor where the animal stands in the lamp's way, softly."""
    to_px, _, lamp, at = _maps(barn, animal)
    body = animal.body
    flatten = np.eye(3) - np.outer(lamp / lamp[2], [0, 0, 1.0])
    onto = to_px @ flatten
    middle = body.centres @ onto.T + at
    spread = animals.silhouettes(body, onto)
    reach = np.sqrt(np.diagonal(spread, axis1=1, axis2=2))
    soft = 0.06 * body.length_m * float(np.abs(to_px).max())
    low = np.floor((middle - reach).min(axis=0) - 2 * soft).astype(int)
    high = np.ceil((middle + reach).max(axis=0) + 2 * soft).astype(int)
    step = max(1.0, float((high - low).max()) / 80)
    shape = np.maximum(np.ceil((high - low) / step).astype(int), 2)
    shade = np.zeros((shape[1], shape[0]), dtype=np.float32)
    for centre, form in zip((middle - low) / step, spread / step**2, strict=True):
        value, axes = np.linalg.eigh(form)
        angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
        size = (2 * float(np.sqrt(max(value[1], 0.01))), 2 * float(np.sqrt(max(value[0], 0.01))))
        cv2.ellipse(shade, ((float(centre[0]), float(centre[1])), size, angle), 1.0, -1)
    shade = cv2.GaussianBlur(shade, (0, 0), max(0.5, soft / step * 0.8))
    wide, tall = int(high[0] - low[0]), int(high[1] - low[1])
    full = animals.Sprite(np.zeros((1, 1, 3), np.float32), cv2.resize(shade, (wide, tall)), int(low[0]), int(low[1]))
    y, x, sy, sx = _window(full, barn.camera.width_px, barn.camera.height_px)
    if picture[y, x].size:
        picture[y, x] = (picture[y, x] * (1 - 0.6 * full.alpha[sy, sx, None])).astype(np.uint8)


def _paste(picture: Frame, sprite: animals.Sprite) -> None:
    y, x, sy, sx = _window(sprite, picture.shape[1], picture.shape[0])
    below = picture[y, x].astype(np.float32)
    picture[y, x] = (below + (sprite.colour[sy, sx] - below) * sprite.alpha[sy, sx, None]).astype(np.uint8)


def _develop(rng: np.random.Generator, barn: Barn, picture: Frame) -> Frame:
    """What the camera makes of it: light, exposure, softness, noise; grey at night."""
    height, width = picture.shape[:2]
    light = cv2.resize(barn.light * np.float32(rng.uniform(0.9, 1.1)), (width, height), interpolation=cv2.INTER_LINEAR)
    picture = cv2.multiply(picture, light, dtype=cv2.CV_8U)
    if barn.night:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    picture = cv2.GaussianBlur(picture, (0, 0), max(0.35, 0.75 * width / 1920))
    grain = _grain()
    tall, wide = -(-height // 512) + 1, -(-width // 512) + 1
    y, x = rng.integers(0, 512, 2)
    noise = np.tile(grain, (tall, wide, 1))[y : y + height, x : x + width]
    return cv2.add(picture, noise * np.int16(2 if barn.night else 1), dtype=cv2.CV_8U)


def _grain() -> np.ndarray:
    global _GRAIN
    if _GRAIN is None:
        _GRAIN = np.round(np.random.default_rng(79).normal(0, 3.2, (512, 512, 3))).astype(np.int16)
    return _GRAIN


_GRAIN: np.ndarray | None = None
