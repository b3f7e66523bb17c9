"""A page that looks all but empty from afar and is full of print."""

from __future__ import annotations

from io import BytesIO


def faint(seed: int = 0, lines: int = 72) -> bytes:
    """A page of small grey numbers, which from afar looks all but empty."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (1700, 2300), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(22)
    for line in range(lines):
        words = " ".join(f"{line * 31 + place * 7 + seed}" for place in range(22))
        pen.text((40, 30 + 31 * line), words, fill=(178, 178, 178), font=font)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
