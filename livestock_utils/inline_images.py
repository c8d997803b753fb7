"""Small pictures for notebooks and pages: PNG bytes -> the smaller of a palette PNG and a JPEG."""

import io

from PIL import Image

COLOURS = 128  # enough for charts with colour maps; below it gradients start to show steps
JPEG_QUALITY = 82


def shrink(image: bytes, max_width_px: int = 1100, max_bytes: int | None = None) -> tuple[str, bytes, tuple[int, int]]:
    """Re-encode a PNG or JPEG for the web -> (mime type, bytes, (width_px, height_px)).

    Charts become palette PNGs, photos JPEGs, whichever is smaller. Wider images are scaled down to `max_width_px`;
    with `max_bytes` the width goes down in steps of a fifth until the result fits or is 320 px wide. Transparency
    becomes white. The same input gives the same bytes.
    """
    with Image.open(io.BytesIO(image)) as opened:
        picture = _on_white(opened)
    width = min(max_width_px, picture.width)
    while True:
        size = (width, max(1, round(picture.height * width / picture.width)))
        small = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
        mime, data = min(_png(small), _jpeg(small), key=lambda pair: len(pair[1]))
        if max_bytes is None or len(data) <= max_bytes or width <= 320:
            return mime, data, size
        width = max(320, width * 4 // 5)


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "P"):
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return picture.convert("RGB")


def _png(picture: Image.Image) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    palette = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(buffer, "PNG", optimize=True)
    return "image/png", buffer.getvalue()


def _jpeg(picture: Image.Image) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True, progressive=True)
    return "image/jpeg", buffer.getvalue()
