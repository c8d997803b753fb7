"""Tileable noise and floor textures, made once a process and the same in every sample."""

import functools

import cv2
import numpy as np

TILE_M = 4.0
"""Side in metres of a texture tile."""

_SIDE = 1024


@functools.cache
def smooth_noise(size: int, waves: float, seed: int) -> np.ndarray:
    """Tileable noise (size, size) of about `waves` bumps a side, float32, even over 0-1."""
    rng = np.random.default_rng([77, seed])
    frequency = np.fft.fftfreq(size) * size
    distance = np.hypot(frequency[:, None], frequency[None, : size // 2 + 1])
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * np.exp(-((distance / waves) ** 2))
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (size, size))
    # 0.5 + 0.5 tanh(0.8 z) is close to the normal distribution function.
    noise = (0.5 + 0.5 * np.tanh(0.8 * field / field.std())).astype(np.float32)
    noise.flags.writeable = False
    return noise


def tile(texture: str, px_a_metre: float) -> np.ndarray:
    """A texture of TILE_M x TILE_M metres (side, side, 3) BGR uint8, as fine as `px_a_metre` shows.
    `texture`: "concrete", "slats", "grooves", "straw", "feed" or "boards"."""
    side = _SIDE
    while side > 32 and side / TILE_M > px_a_metre * 1.4:
        side //= 2
    return _shrunk(texture, side)


@functools.cache
def _shrunk(texture: str, side: int) -> np.ndarray:
    full = _TEXTURES[texture]()
    return full if side == _SIDE else cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA)


@functools.cache
def grain() -> np.ndarray:
    """Camera noise (512, 512, 3), int16, standard deviation about 3."""
    return np.round(np.random.default_rng(79).normal(0, 3.0, (512, 512, 3))).astype(np.int16)


@functools.cache
def _concrete() -> np.ndarray:
    coarse = smooth_noise(_SIDE, 10, 3)
    fine = np.tile(smooth_noise(_SIDE // 2, 34, 4), (2, 2))
    rough = np.tile(smooth_noise(_SIDE // 2, 170, 5), (2, 2))
    grey = 136 + 22 * (coarse - 0.5) + 20 * (fine - 0.5) + 24 * (rough - 0.5)
    toned = grey[..., None] * np.array((0.97, 1.0, 1.02), dtype=np.float32)
    return np.clip(toned, 0, 255).astype(np.uint8)


@functools.cache
def _slats() -> np.ndarray:
    picture = _concrete().copy()
    step, gap = _SIDE // 32, 7
    for row in range(32):
        for column in range(4):
            left, right, top = column * 256 + 12, column * 256 + 244, row * step + 10
            cv2.rectangle(picture, (left, top), (right, top + gap), (24, 28, 31), -1)
            cv2.line(picture, (left, top - 1), (right, top - 1), (112, 116, 118), 1)
            cv2.line(picture, (left, top + gap + 1), (right, top + gap + 1), (168, 172, 174), 1)
        seam = (row // 8) * 8 * step
        cv2.line(picture, (0, seam), (_SIDE, seam), (70, 74, 76), 2)
    for column in range(4):
        cv2.line(picture, (column * 256, 0), (column * 256, _SIDE), (78, 82, 84), 2)
    return cv2.GaussianBlur(picture, (3, 3), 0)


@functools.cache
def _grooves() -> np.ndarray:
    picture = (_concrete() * 0.92).astype(np.uint8)
    for at in range(0, _SIDE, 32):
        cv2.line(picture, (0, at), (_SIDE, at), (84, 88, 90), 4)
        cv2.line(picture, (0, at + 4), (_SIDE, at + 4), (150, 154, 155), 1)
    for at in range(0, _SIDE, 512):
        cv2.line(picture, (at, 0), (at, _SIDE), (72, 76, 78), 4)
    return cv2.GaussianBlur(picture, (5, 5), 0)


@functools.cache
def _straw() -> np.ndarray:
    colours = ((95, 150, 190), (125, 185, 220), (70, 115, 150), (50, 80, 105), (150, 205, 232))
    return _strokes(11, (70, 105, 135), colours, 8000, 46)


@functools.cache
def _feed() -> np.ndarray:
    colours = ((70, 140, 135), (60, 115, 110), (95, 165, 170), (40, 75, 80))
    return _strokes(12, (50, 95, 100), colours, 7000, 26)


@functools.cache
def _boards() -> np.ndarray:
    grain_of_wood = cv2.resize(smooth_noise(256, 60, 6), (_SIDE * 4, _SIDE))[:, :_SIDE, None]
    picture = (_concrete() * 1.15 * (0.9 + 0.2 * grain_of_wood)).clip(0, 255).astype(np.uint8)
    for at in range(0, _SIDE, 64):
        cv2.line(picture, (0, at), (_SIDE, at), (75, 78, 80), 4)
        cv2.line(picture, (0, at + 5), (_SIDE, at + 5), (205, 208, 210), 2)
    return picture


def _strokes(seed: int, ground, colours, count: int, length_px: int) -> np.ndarray:
    """A tile of short crossing strokes that wraps around."""
    rng = np.random.default_rng([78, seed])
    picture = np.empty((_SIDE, _SIDE, 3), dtype=np.uint8)
    picture[:] = ground
    start = rng.uniform(0, _SIDE, (count, 2))
    angle, length = rng.uniform(0, np.pi, count), rng.uniform(0.4, 1.0, count) * length_px
    end = start + np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]
    tones = np.array(colours)[rng.integers(0, len(colours), count)]
    tones = tones * rng.uniform(0.65, 1.1, (count, 1))
    thick = rng.integers(1, 4, count).tolist()
    wraps = -_SIDE * np.floor(end / _SIDE).astype(int)
    for i, tone in enumerate(np.minimum(tones, 255).tolist()):
        for dx in sorted({0, int(wraps[i, 0])}):
            for dy in sorted({0, int(wraps[i, 1])}):
                a, b = np.round(np.array([start[i], end[i]]) + (dx, dy)).astype(int).tolist()
                cv2.line(picture, a, b, tone, thick[i], cv2.LINE_AA)
    clumps = smooth_noise(_SIDE, 14, 7)[..., None]
    return (picture * (0.74 + 0.4 * clumps)).clip(0, 255).astype(np.uint8)


_TEXTURES = {
    "concrete": _concrete,
    "slats": _slats,
    "grooves": _grooves,
    "straw": _straw,
    "feed": _feed,
    "boards": _boards,
}
