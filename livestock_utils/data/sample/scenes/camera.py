"""A pinhole camera under the roof. World axes in metres: x right, y away, z up, floor z = 0."""

import dataclasses

import numpy as np
import numpy.typing as npt

from livestock_utils.core.arrays import Floats


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera that looks along +y and down at the floor's origin. The frame's size in pixels,
    `focal_px`, `distance_m` to the origin, `pitch` in radians below the horizon."""

    width_px: int
    height_px: int
    focal_px: float
    distance_m: float
    pitch: float

    @property
    def position(self) -> Floats:
        """Place of the camera (3,) in metres."""
        return self.distance_m * np.array([0, -np.cos(self.pitch), np.sin(self.pitch)])

    @property
    def axes(self) -> Floats:
        """Rows (3, 3): right, down in the picture, into the picture."""
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        return np.array([[1.0, 0, 0], [0, -s, -c], [0, c, -s]])

    @property
    def px_a_metre(self) -> float:
        """Pixels a metre at the floor's origin."""
        return self.focal_px / self.distance_m

    def depth(self, points_m: npt.ArrayLike) -> Floats:
        """Distance (n,) of points (n, 3) along the camera's axis, in metres; negative behind it."""
        return (np.atleast_2d(np.asarray(points_m, dtype=float)) - self.position) @ self.axes[2]

    def project(self, points_m: npt.ArrayLike) -> Floats:
        """Points (n, 3) in metres -> pixels (n, 2)."""
        seen = (np.atleast_2d(np.asarray(points_m, dtype=float)) - self.position) @ self.axes.T
        return self.focal_px * seen[:, :2] / np.maximum(seen[:, 2:], 0.05) + self._middle

    def floor(self, px: npt.ArrayLike) -> Floats:
        """Pixels (n, 2) below the horizon -> points of the floor (n, 3) in metres."""
        px = np.atleast_2d(np.asarray(px, dtype=float))
        ray = np.column_stack([(px - self._middle) / self.focal_px, np.ones(len(px))]) @ self.axes
        return self.position - ray * (self.position[2] / np.minimum(ray[:, 2:], -1e-3))

    def tangent(self, point_m: Floats) -> tuple[Floats, Floats]:
        """Derivative (2, 3) of the projection at a point, in px a metre, and the direction (3,)
        toward the camera."""
        x, y, z = self.axes @ (point_m - self.position)
        slope = self.focal_px / z * np.array([[1, 0, -x / z], [0, 1, -y / z]]) @ self.axes
        toward = self.position - point_m
        return slope, toward / np.linalg.norm(toward)

    def plane(self, origin: npt.ArrayLike, along: npt.ArrayLike, up: npt.ArrayLike) -> Floats:
        """Homography (3, 3) from plane coordinates (metres from an origin) to pixels."""
        focal, (x, y) = self.focal_px, self._middle
        lens = np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]])
        sides = np.column_stack([along, up, np.asarray(origin, dtype=float) - self.position])
        return lens @ self.axes @ sides

    @property
    def _middle(self) -> Floats:
        return np.array([self.width_px / 2, self.height_px / 2])


def project_polygon(plane: Floats, corners: npt.ArrayLike) -> Floats:
    """Corners (n, 2) of a polygon in a plane -> pixels (m, 2), cut behind the camera."""
    corners = np.asarray(corners, dtype=float)
    seen = np.column_stack([corners, np.ones(len(corners))]) @ plane.T
    near, kept = 0.2, []
    for here, there in zip(seen, np.roll(seen, -1, axis=0), strict=True):
        if here[2] >= near:
            kept.append(here)
        if (here[2] >= near) != (there[2] >= near):
            kept.append(here + (there - here) * (near - here[2]) / (there[2] - here[2]))
    points = np.array(kept).reshape(-1, 3)
    return np.clip(points[:, :2] / points[:, 2:], -60000, 60000)
