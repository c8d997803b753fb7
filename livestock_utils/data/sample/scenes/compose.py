"""Animals placed in a barn and drawn far to near, with the box of what is seen of each."""

import dataclasses

import cv2
import numpy as np

from livestock_utils.core.arrays import Floats
from livestock_utils.data.sample.scenes import barns, bodies, sprites, textures
from livestock_utils.data.sample.scenes.barns import Barn
from livestock_utils.data.sample.scenes.bodies import Body, Coat
from livestock_utils.data.sample.scenes.sprites import Sprite


@dataclasses.dataclass(frozen=True)
class Animal:
    """A body at a place of the floor (3,) in metres, turned by `yaw` radians."""

    body: Body
    place_m: Floats
    yaw: float


@dataclasses.dataclass(frozen=True)
class _Scene:
    """A scene: picture (h, w, 3) BGR uint8, boxes (n, 4) xyxy in px, share seen of each (n,)."""

    picture: np.ndarray
    xyxy: Floats
    seen: Floats


_PIG_COATS = (
    ((158, 178, 218), (60, 64, 74), (135, 145, 212), 0.0, 1.0, 0.07, 0.62),
    ((50, 78, 126), (50, 78, 126), (70, 80, 130), 0.0, 1.0, 0.06, 0.13),
    ((158, 178, 216), (48, 50, 58), (135, 145, 212), 0.3, 2.2, 0.06, 0.17),
    ((46, 46, 52), (160, 178, 212), (80, 84, 110), 0.12, 0.9, 0.08, 0.08),
)
_COW_COATS = (
    ((210, 219, 224), (36, 34, 38), (140, 150, 195), 0.55, 1.3, 0.02, 0.45),
    ((74, 118, 166), (74, 118, 166), (110, 130, 175), 0.0, 1.0, 0.03, 0.32),
    ((205, 217, 225), (44, 72, 122), (140, 150, 195), 0.6, 1.2, 0.02, 0.1),
    ((40, 42, 50), (40, 42, 50), (60, 64, 80), 0.0, 1.0, 0.04, 0.13),
)
"""Colours of a coat, share and patches per metre of the second, gloss; how many animals have it."""
_HERDS = {
    "pig": (
        bodies.pig,
        barns.pig_barn,
        _PIG_COATS,
        ("standing", "lying", "side"),
        (0.5, 0.25, 0.25),
        0.88,
    ),
    "cow": (bodies.cow, barns.cow_barn, _COW_COATS, ("standing", "lying"), (0.68, 0.32), 0.95),
}


def build_barn(rng: np.random.Generator, species: str, width_px: int, height_px: int) -> Barn:
    """An empty barn for a species of the sample ("pig" or "cow")."""
    return _HERDS[species][1](rng, width_px, height_px)


def populate(rng: np.random.Generator, barn: Barn, species: str, count: int) -> list[Animal]:
    """Place `count` animals, overlapping but not standing in each other; fewer in a full pen."""
    make, _, coats, poses, chances, spacing = _HERDS[species]
    shares = np.array([coat[-1] for coat in coats])
    # The animals of one barn are mostly of one breed.
    breed = int(np.searchsorted(np.cumsum(shares), barn.breed))
    shares = np.where(np.arange(len(coats)) == breed, 0.8, 0) + 0.2 * shares
    herd: list[Animal] = []
    while len(herd) < count:
        base, second, bare, share, patches, gloss, _ = coats[rng.choice(len(coats), p=shares)]
        tone = rng.uniform(0.88, 1.08)
        b, g, r = (min(channel * tone, 245.0) for channel in base)
        x, y = rng.uniform(0, 50, 2)
        dirt, share = rng.uniform(0.05, 0.4), share * rng.uniform(0.6, 1.35)
        coat = Coat((b, g, r), second, bare, share, patches, dirt, gloss, (x, y))
        body = make(rng, coat, str(rng.choice(poses, p=chances)))
        if rng.random() < 0.025:
            body = body.scaled(rng.uniform(0.4, 0.6))
        spots_in_frame = 1 if rng.random() < 0.05 else 2
        if (animal := _place(rng, barn, body, herd, spacing, spots_in_frame)) is None:
            break
        herd.append(animal)
    return herd


def move(rng: np.random.Generator, herd: list[Animal]) -> list[Animal]:
    """The same animals a moment later: small steps along their heading and small turns."""
    moved = []
    for animal in herd:
        step, turn = rng.normal(0, 0.05, 2) if rng.random() < 0.6 else (0.0, 0.0)
        ahead = np.array([np.cos(animal.yaw), np.sin(animal.yaw), 0]) * step
        moved.append(Animal(animal.body, animal.place_m + ahead, animal.yaw + turn))
    return moved


def draw_scene(
    rng: np.random.Generator, barn: Barn, herd: list[Animal], caption: str = ""
) -> _Scene:
    """Draw the herd far to near; animals that show less than a tenth are left out."""
    camera = barn.camera
    herd = sorted(herd, key=lambda a: -float(np.linalg.norm(a.place_m - camera.position)))
    drawn = [sprites.draw(animal.body, *_maps(barn, animal)) for animal in herd]
    while True:
        xyxy, seen = _visible(drawn, camera.width_px, camera.height_px)
        hidden = np.flatnonzero(seen < 0.1)
        if not len(hidden):
            break
        worst = hidden[np.argmin(seen[hidden])]
        del drawn[worst], herd[worst]
    picture = barn.picture.copy()
    for animal, sprite in zip(herd, drawn, strict=True):
        _cast_shadow(picture, barn, animal)
        _paste(picture, sprite)
    for pipe in barn.front:
        barns.paint_pipe(picture, camera, pipe)
    return _Scene(_develop(rng, barn, picture, caption), xyxy, seen)


def _place(
    rng: np.random.Generator,
    barn: Barn,
    body: Body,
    herd: list[Animal],
    spacing: float,
    spots_in_frame: int,
) -> Animal | None:
    """A free place for a body, spread evenly over the picture; None after many tries. Of four spots
    along the body `spots_in_frame` must be in the frame."""
    camera = barn.camera
    others = np.vstack([np.zeros((0, 3)), *(_footprint(a.body, a.place_m, a.yaw) for a in herd)])
    for attempt in range(90):
        px = rng.uniform((-0.02, -0.02), (1.02, 1.04)) * (camera.width_px, camera.height_px)
        place = camera.floor([px])[0]
        yaw = rng.uniform(-np.pi, np.pi)
        mine = _footprint(body, place, yaw)
        if not (barn.pen_m[0] < mine[:, 1].min() and mine[:, 1].max() < barn.pen_m[1]):
            continue
        spots = camera.project(np.column_stack([mine[:, :2], np.full(4, body.radius_m)]))
        inside = ((spots > 0) & (spots < (camera.width_px, camera.height_px))).all(axis=1)
        if inside.sum() < spots_in_frame:
            continue
        apart = np.linalg.norm(mine[:, None, :2] - others[None, :, :2], axis=2)
        gap = (apart / (mine[:, None, 2] + others[None, :, 2])).min(initial=np.inf)
        if gap > spacing * (1 if attempt < 60 else 0.85):
            return Animal(body, place, yaw)
    return None


def _footprint(body: Body, place_m: Floats, yaw: float) -> Floats:
    """Four circles (x, y, radius) in metres along a body."""
    along = np.linspace(-0.4, 0.42, 4) * body.length_m
    x, y = place_m[0] + along * np.cos(yaw), place_m[1] + along * np.sin(yaw)
    return np.column_stack([x, y, np.full(4, body.radius_m)])


def _maps(barn: Barn, animal: Animal) -> tuple[Floats, Floats, Floats, Floats]:
    """For `sprites.draw`: map of metres to pixels, directions to camera and lamp, place in px."""
    turn = bodies.turned(animal.yaw)
    middle = animal.place_m + (0, 0, animal.body.centres[:, 2].mean())
    slope, toward = barn.camera.tangent(middle)
    at = barn.camera.project(middle)[0] - slope @ (middle - animal.place_m)
    return slope @ turn, toward @ turn, barn.lamp @ turn, at


def _visible(drawn: list[Sprite], width_px: int, height_px: int) -> tuple[Floats, Floats]:
    """Boxes (n, 4) of what is seen of each sprite below later ones, and the shares seen."""
    owner = np.full((height_px, width_px), -1, dtype=np.int16)
    for i, sprite in enumerate(drawn):
        rows, columns, own_rows, own_columns = sprite.window(width_px, height_px)
        owner[rows, columns][sprite.alpha[own_rows, own_columns] > 0.5] = i
    xyxy, seen = np.zeros((len(drawn), 4)), np.zeros(len(drawn))
    for i, sprite in enumerate(drawn):
        rows, columns, _, _ = sprite.window(width_px, height_px)
        mine = owner[rows, columns] == i
        seen[i] = mine.sum() / max(1, int((sprite.alpha > 0.5).sum()))
        x = np.flatnonzero(mine.any(axis=0)) + columns.start
        y = np.flatnonzero(mine.any(axis=1)) + rows.start
        if len(x):
            xyxy[i] = (x[0], y[0], x[-1] + 1, y[-1] + 1)
    return xyxy, seen


def _cast_shadow(picture: np.ndarray, barn: Barn, animal: Animal) -> None:
    """Darken, softly and in place, the floor where the animal stands in the lamp's way."""
    to_px, _, lamp, at_px = _maps(barn, animal)
    body = animal.body
    onto_floor = to_px @ (np.eye(3) - np.outer(lamp / lamp[2], [0, 0, 1.0]))
    middle = body.centres @ onto_floor.T + at_px
    spread = bodies.flattened(body.shapes, onto_floor)
    reach = np.sqrt(np.diagonal(spread, axis1=1, axis2=2))
    soft = 0.05 * body.length_m * float(np.abs(to_px).max())
    low = np.floor((middle - reach).min(axis=0) - 2 * soft).astype(int)
    size = np.ceil((middle + reach).max(axis=0) + 2 * soft).astype(int) - low
    step = max(1.0, float(size.max()) / 80)
    cells = np.maximum(np.ceil(size / step).astype(int), 2)
    shade = np.zeros((cells[1], cells[0]), dtype=np.float32)
    values, axes = np.linalg.eigh(spread / step**2)
    angles = np.degrees(np.arctan2(axes[:, 1, 1], axes[:, 0, 1]))
    across = 2 * np.sqrt(np.maximum(values, 0.01))
    for centre, width, angle in zip(
        ((middle - low) / step).tolist(), across.tolist(), angles.tolist(), strict=True
    ):
        cv2.ellipse(shade, (centre, (width[1], width[0]), angle), 1.0, -1)
    shade = cv2.GaussianBlur(shade, (0, 0), max(0.5, soft / step))
    whole = cv2.resize(shade, (int(size[0]), int(size[1])))
    shadow = Sprite(shade, whole, int(low[0]), int(low[1]))
    frame = barn.camera.width_px, barn.camera.height_px
    rows, columns, own_rows, own_columns = shadow.window(*frame)
    below = picture[rows, columns]
    if below.size:
        below[:] = (below * (1 - 0.62 * shadow.alpha[own_rows, own_columns, None])).astype(np.uint8)


def _paste(picture: np.ndarray, sprite: Sprite) -> None:
    rows, columns, own_rows, own_columns = sprite.window(picture.shape[1], picture.shape[0])
    below = picture[rows, columns].astype(np.float32)
    over, alpha = sprite.colour[own_rows, own_columns], sprite.alpha[own_rows, own_columns, None]
    picture[rows, columns] = (below + (over - below) * alpha).astype(np.uint8)


def _develop(rng: np.random.Generator, barn: Barn, picture: np.ndarray, caption: str) -> np.ndarray:
    """What the camera makes of it: exposure, softness, noise; grey at night; its caption."""
    height, width = picture.shape[:2]
    light = cv2.resize(barn.light * np.float32(rng.uniform(0.9, 1.08)), (width, height))
    picture = cv2.multiply(picture, light, dtype=cv2.CV_8U)
    if barn.night:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    picture = cv2.GaussianBlur(picture, (0, 0), max(0.35, 0.7 * width / 1920))
    grain = textures.grain()
    y, x = rng.integers(0, len(grain), 2)
    repeats = -(-height // len(grain)) + 1, -(-width // len(grain)) + 1, 1
    noise = np.tile(grain, repeats)[y : y + height, x : x + width]
    picture = cv2.add(picture, noise * np.int16(2 if barn.night else 1), dtype=cv2.CV_8U)
    size = width / 1920
    if caption and size > 0.3:
        thick, shift = max(1, round(2 * size)), max(1, round(2 * size))
        for tone, move in (((20, 20, 20), shift), ((235, 235, 235), 0)):
            where = (round(30 * size) + move, round(50 * size) + move)
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(picture, caption, where, font, 1.1 * size, tone, thick, cv2.LINE_AA)
    return picture
