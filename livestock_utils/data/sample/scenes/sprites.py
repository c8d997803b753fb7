"""Ray casting of bodies: per cell of a small grid the nearest ellipsoid, coat, light, soft edge.

Near an animal the camera's projection is taken as the affine map that touches it there, so each
ellipsoid's surface is the root of one quadratic equation a cell, and near animals are seen from
above, far ones more from the side.
"""

import dataclasses

import cv2
import numpy as np

from livestock_utils.core.arrays import Floats
from livestock_utils.data.sample.scenes import bodies
from livestock_utils.data.sample.scenes.bodies import Body, flattened
from livestock_utils.data.sample.scenes.textures import smooth_noise

_DUNG = (50, 70, 88)


@dataclasses.dataclass(frozen=True)
class Sprite:
    """A drawn animal: colours (h, w, 3) BGR, opacity (h, w), its upper left corner in the frame."""

    colour: np.ndarray
    alpha: np.ndarray
    left: int
    top: int

    def window(self, width_px: int, height_px: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of the frame that the sprite covers, and the sprite's own rows and
        columns there."""
        rows, columns = self.alpha.shape
        top, bottom = max(0, self.top), max(0, min(height_px, self.top + rows))
        left, right = max(0, self.left), max(0, min(width_px, self.left + columns))
        own = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return slice(top, bottom), slice(left, right), *own


def draw(
    body: Body,
    to_px: Floats,
    toward_camera: Floats,
    light: Floats,
    at_px: Floats,
    grid_px: float = 170.0,
) -> Sprite:
    """Draw `body` standing at frame pixel `at_px`. `to_px` (2, 3) maps metres in the body's frame
    to pixels and has `toward_camera` (3,) as its null space; `light` (3,) points to the lamp. The
    rays are cast on a grid of about `grid_px` a side, at least half as fine as the frame."""
    spread = np.sqrt(np.diagonal(flattened(body.shapes, to_px), axis1=1, axis2=2))
    middle = body.centres @ to_px.T
    low = np.floor((middle - spread).min(axis=0) + at_px).astype(int) - 2
    size = np.ceil((middle + spread).max(axis=0) + at_px).astype(int) + 2 - low
    cells = np.maximum(np.round(size * np.clip(grid_px / size.max(), 0.5, 2.0)), 4).astype(int)
    per_px = cells / size
    to_grid = np.vstack([to_px * per_px[:, None], toward_camera])
    origin = (at_px - low) * per_px
    depth, material = _cast(body, to_grid, origin, cells)
    colour, alpha = _shade(body, depth, material, to_grid, origin, light)
    shape, finer = (int(size[0]), int(size[1])), bool(cells[0] < size[0])
    alpha = cv2.resize(alpha, shape, interpolation=cv2.INTER_CUBIC if finer else cv2.INTER_AREA)
    colour = cv2.resize(colour, shape, interpolation=cv2.INTER_LINEAR if finer else cv2.INTER_AREA)
    sharp = max(1.0, 1.4 / float(per_px[0]))
    return Sprite(colour, np.clip((alpha - 0.5) * sharp + 0.5, 0, 1), int(low[0]), int(low[1]))


def _cast(
    body: Body, to_grid: Floats, origin: Floats, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest surface along the sight line: height to the camera (-inf: none), material, (h, w)."""
    width, height = int(cells[0]), int(cells[1])
    depth = np.full((height, width), -np.inf, dtype=np.float32)
    material = np.zeros((height, width), dtype=np.uint8)
    centres, shapes = body.centres @ to_grid.T, to_grid @ body.shapes
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
        room = (f - (a * f - d * d) * across**2) - (c * f - e * e) * along**2
        room = room - (2 * (b * f - d * e)) * along * across
        surface = (np.sqrt(np.maximum(room, 0)) - (d * across + e * along)) / f
        surface = surface + np.float32(centre[2])
        nearer = (room > 0) & (surface > depth[y0:y1, x0:x1])
        np.copyto(depth[y0:y1, x0:x1], surface, where=nearer)
        material[y0:y1, x0:x1][nearer] = kind
    return depth, material


def _shade(
    body: Body,
    depth: np.ndarray,
    material: np.ndarray,
    to_grid: Floats,
    origin: Floats,
    light: Floats,
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (h, w, 3) and opacity (h, w) of a cast body: coat, dirt, light from the lamp."""
    mask = np.isfinite(depth).astype(np.float32)
    known = np.where(mask > 0, depth, np.float32(0))
    # Smoothing the surface joins the ellipsoids into one skin; a little of the true surface keeps
    # ears and legs crisp.
    skin = 0.65 * _filled(known, mask, 0.035 * body.length_m * float(np.abs(to_grid[:2]).max()))
    skin += 0.35 * np.where(mask > 0, known, _filled(known, mask, 1.5))
    down, right = np.gradient(skin)
    normal = [to_grid[2, i] - right * to_grid[0, i] - down * to_grid[1, i] for i in range(3)]
    length = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
    facing = normal[0] * light[0] + normal[1] * light[1] + normal[2] * light[2]
    facing = np.clip(facing / length, 0, 1)
    place = np.linalg.inv(to_grid).astype(np.float32)
    across = (np.arange(depth.shape[1], dtype=np.float32) + np.float32(0.5 - origin[0]))[None, :]
    along = (np.arange(depth.shape[0], dtype=np.float32) + np.float32(0.5 - origin[1]))[:, None]
    x, y, z = (place[i, 0] * across + place[i, 1] * along + place[i, 2] * skin for i in range(3))
    height = z / np.float32(body.centres[:, 2].max())
    colour = _coloured(body, material, [x, y, z], height)
    bright = (0.46 + 0.62 * facing) * np.clip(0.55 + 0.5 * height, 0.5, 1.05)
    bright *= 0.94 + 0.12 * _looked_up(x, y * 3 + z, 14.0, body.coat.offset)
    colour = colour * bright[..., None] + (255 * body.coat.gloss) * (facing**14)[..., None]
    # Colour reaches a little beyond the outline so that the soft edge does not mix in black.
    beyond = np.stack([_filled(colour[..., i] * mask, mask, 1.2) for i in range(3)], axis=-1)
    colour = np.where(mask[..., None] > 0, colour, beyond)
    return np.clip(colour, 0, 255).astype(np.float32), cv2.GaussianBlur(mask, (0, 0), 0.7)


def _coloured(body: Body, material: np.ndarray, xyz: list, height: np.ndarray) -> np.ndarray:
    """Colours (h, w, 3) without light at body coordinates in metres; `height` is a share of the
    animal's."""
    (x, y, z), coat = xyz, body.coat
    pattern = _looked_up(x + 0.25 * z, y + 0.8 * z, coat.patches_per_m, coat.offset)
    pattern = 0.9 * pattern + 0.1 * _looked_up(x, y + z, 6 * coat.patches_per_m, coat.offset)
    second = np.clip((coat.share - pattern) * 25 + (0.5 if coat.share > 0 else -1), 0, 1)[..., None]
    base, bare = np.array(coat.base, dtype=np.float32), np.array(coat.bare, dtype=np.float32)
    colour = base + (np.array(coat.second, dtype=np.float32) - base) * second
    flush = _looked_up(x, y + z, 2.5, coat.offset)[..., None]
    colour *= 0.95 + 0.1 * flush
    ear = material == bodies.EAR
    colour[ear] = 0.72 * colour[ear] + 0.28 * bare
    horn, hoof, eye = (135, 160, 172), (58, 66, 74), (22, 22, 26)
    kinds = bodies.BARE, bodies.HORN, bodies.HOOF, bodies.EYE
    for kind, tone in zip(kinds, np.array([bare, horn, hoof, eye]), strict=True):
        colour[material == kind] = tone
    colour[material == bodies.TUFT] *= 0.6
    dirt = np.clip((_looked_up(x, y + z, 2.2, coat.offset[::-1]) - 1 + coat.dirt) * 4, 0, 1)
    dirt *= 0.8 * np.clip(1.25 - height, 0.12, 1)
    dirt[material != bodies.COAT] *= 0.4
    return colour + (np.array(_DUNG, dtype=np.float32) - colour) * dirt[..., None]


def _filled(values: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of the values inside `mask`, also a little beyond it."""
    return cv2.GaussianBlur(values, (0, 0), sigma) / np.maximum(
        cv2.GaussianBlur(mask, (0, 0), sigma), 1e-4
    )


def _looked_up(
    u: np.ndarray, v: np.ndarray, per_m: float, offset: tuple[float, float]
) -> np.ndarray:
    """Even noise 0-1 at coordinates in metres, about `per_m` bumps a metre."""
    noise = smooth_noise(256, 12.0, 1)
    step = np.float32(256 / 12.0 * per_m)
    columns, rows = ((w + np.float32(o)) * step for w, o in zip((u, v), offset, strict=True))
    return cv2.remap(noise, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
