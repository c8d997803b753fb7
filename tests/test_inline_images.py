"""Pictures for notebooks and pages: small, the same every time."""

import io

import numpy as np
import pytest
from PIL import Image

from livestock_utils.show.pipeline import inline_images


def png(array, mode=None):
    buffer = io.BytesIO()
    Image.fromarray(array, mode).save(buffer, "PNG")
    return buffer.getvalue()


def chart(width_px=1600, height_px=800):
    array = np.full((height_px, width_px, 3), 255, dtype=np.uint8)
    array[height_px // 4 : height_px // 2, 100:300] = (213, 94, 0)
    return png(array)


def photo(width_px=800, height_px=600):
    noise = np.random.default_rng(0).integers(0, 60, (height_px, width_px, 3))
    return png((noise + np.linspace(0, 190, width_px)[None, :, None]).astype(np.uint8))


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(("image", "mime"), [(chart(), "image/png"), (photo(), "image/jpeg")])
def test_charts_stay_png_and_photos_become_jpeg(image, mime):
    kind, data, size = inline_images.shrink(image)
    assert kind == mime
    assert opened(data).size == size
    assert len(data) < len(image)


@pytest.mark.parametrize(
    ("width_px", "limit_px", "expected"), [(1600, 1100, (1100, 550)), (500, 1100, (500, 400))]
)
def test_wide_images_are_scaled_down_and_small_ones_kept(width_px, limit_px, expected):
    height_px = 800 if width_px == 1600 else 400
    assert inline_images.shrink(chart(width_px, height_px), limit_px)[2] == expected


def test_max_bytes_narrows_the_image_until_it_fits():
    _, free, _ = inline_images.shrink(photo())
    _, data, (width_px, _) = inline_images.shrink(photo(), max_bytes=len(free) // 2)
    assert len(data) <= len(free) // 2
    assert 320 <= width_px < 800


def test_transparency_becomes_white():
    clear = np.zeros((10, 10, 4), dtype=np.uint8)
    _, data, _ = inline_images.shrink(png(clear))
    assert opened(data).convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_same_bytes_every_time():
    assert inline_images.shrink(photo()) == inline_images.shrink(photo())
