"""Small pictures for notebooks and pages: PNG bytes -> the smaller of a palette PNG and a JPEG."""

import base64
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

_COLOURS = 128  # enough for charts with colour maps; below it gradients start to show steps
_JPEG_QUALITIES = (82, 65)
"""The second is for pictures that must shrink: coarse is read better than narrow."""


def shrink(
    image: bytes, max_width_px: int = 1100, max_bytes: int | None = None
) -> tuple[str, bytes, tuple[int, int]]:
    """Re-encode a PNG or JPEG for the web -> (mime type, bytes, (width_px, height_px)). The smaller
    of a palette PNG and a JPEG; for `max_bytes` first the JPEG's quality goes down, then the width
    by tenths, to 320 px at least. Transparency becomes white."""
    with Image.open(io.BytesIO(image)) as opened:
        picture = _on_white(opened)
    width = min(max_width_px, picture.width)
    while True:
        size = (width, max(1, round(picture.height * width / picture.width)))
        small = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
        forms = [_png(small), _jpeg(small, _JPEG_QUALITIES[0])]
        if max_bytes is not None and min(len(data) for _, data in forms) > max_bytes:
            forms += [_jpeg(small, quality) for quality in _JPEG_QUALITIES[1:]]
        mime, data = min(forms, key=lambda form: len(form[1]))
        if max_bytes is None or len(data) <= max_bytes or width <= 320:
            return mime, data, size
        width = max(320, width * 9 // 10)


def output(
    image: bytes, about: Mapping[str, Any], max_width_px: int = 1100, max_bytes: int | None = None
) -> tuple[dict[str, str], dict[str, Any]]:
    """(data, metadata) of a cell's output with this picture; `about` goes to its metadata."""
    mime, data, (width_px, height_px) = shrink(image, max_width_px, max_bytes)
    size = {"width": width_px, "height": height_px}
    return {mime: base64.b64encode(data).decode()}, {mime: {**about, **size}}


def attributes(image: bytes, max_width_px: int = 1100, max_bytes: int | None = None) -> str:
    """What an <img> says of a picture: src (a data: address), width and height."""
    kind, data, (width, height) = shrink(image, max_width_px, max_bytes)
    address = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return f'src="{address}" width="{width}" height="{height}"'


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "P"):
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _png(picture: Image.Image) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    palette = picture.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return "image/png", buffer.getvalue()


def _jpeg(picture: Image.Image, quality: int) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
    return "image/jpeg", buffer.getvalue()
