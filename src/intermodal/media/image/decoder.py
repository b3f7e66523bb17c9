"""Decodes images inside the worker with Pillow: probing and re-encoding. No other module opens images."""

from __future__ import annotations

import colorsys
import copy
import importlib.util
import io
import warnings
from itertools import accumulate
from operator import sub
from typing import Any

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageColor,
    ImageFile,
    ImageFilter,
    ImagePalette,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from intermodal.core.quantity import Quantity, between, exact
from intermodal.errors import InputBroken, InputError, InputTooLarge, InputUnsupported, NotInstalled
from intermodal.media import creation_date, header_readers, sandbox
from intermodal.media.image import letter_counts, script_detection
from intermodal.media.media_limits import MAX_FRAMES, MAX_PIXELS, SAMPLE_SIDE
from intermodal.media.worker_results import MediaProbeResult

# Modules that Pillow would import while decoding, when the sandbox no longer allows opening files: every plugin and
# helper, ``copy`` for a GIF with a palette of its own, ``colorsys`` for named colours.
_LOADED = (
    AvifImagePlugin,
    BmpImagePlugin,
    colorsys,
    copy,
    GifImagePlugin,
    ImageColor,
    ImagePalette,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
_FORMATS = {
    "image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP", "image/tiff": "TIFF",
    "image/bmp": "BMP", "image/avif": "AVIF", "image/heic": "HEIF",
}  # fmt: skip

Image.preinit()  # the plugins Pillow registers on its first open
Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # stricter than Pillow's own, and an error rather than a warning
warnings.simplefilter("error", Image.DecompressionBombWarning)
ImageFile.LOAD_TRUNCATED_IMAGES = False

# How to turn an image upright, by its EXIF orientation (CIPA DC-008, 4.6.5.1.5).
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_BLOCK = 16
_AREA = _BLOCK * _BLOCK
# Transparent images: grey levels from which on ink is light, the share of ink that may vanish, the widest stroke.
_LIGHT, _FEW, _STROKE = 208, 0.02, 9
_DARK_PAPER = "#202020"
_OPAQUE = 128  # alpha from which on a mask is opaque
_SAMPLED_FRAMES = 4  # frames of an animation that are sampled, besides the first ...
_SAMPLED_PIXELS = 20_000_000  # ... within this many pixels of frames: Pillow composes 100 million a second
_BROKEN_TODO = "check that the file is complete and opens elsewhere"


def probe(data: bytes, media_type: str) -> MediaProbeResult:
    """Return size and frames of an image from its header, and text density from its first frame.

    The first frame is decoded, which also checks it. For an animation, the density is that of the sampled frame with
    the most text.
    """
    header = checked_header(data, media_type)
    with sandbox.memory_limit(decode_memory(header, data)):
        image = open_image(data, media_type)
        width, height = image.size
        image.draft("L", (letter_counts.SIDE, letter_counts.SIDE))  # JPEG alone: decodes at a fraction of the size
        load_pixels(image)
        if _orientation(image) in (5, 6, 7, 8):  # the four orientations that swap width and height
            width, height = height, width
        density = text_density(image)
        created, device = _making(image)
        grey, density = _densest(image, header, media_type, flatten(image).convert("L"), density)
        letters = letter_counts.count_letters(grey, looks_written=density.mid > 0)
        return MediaProbeResult(
            width=width,
            height=height,
            frames=header.frames,
            text_density=density,
            letters=letters,
            script=script_detection.detect_script(rotate_upright(grey, _orientation(image)), density, letters),
            seconds=exact(round(header.seconds, 3), "header") if header.seconds else Quantity(),
            created=created,
            device=device,
        )


def _densest(
    image: Image.Image, header: header_readers.ImageHeader, media_type: str, grey: Image.Image, density: Quantity
) -> tuple[Image.Image, Quantity]:
    """Return the sampled frame with the most text, and its density: an animation may begin with an empty slide.

    ``grey`` and ``density`` belong to the first frame. They are returned if no later frame has more text. Sampling ends
    at a damaged frame.
    """
    last = min(header.frames, _SAMPLED_PIXELS // max(1, header.width * header.height)) - 1
    if media_type == "image/tiff" or last < 1:
        return grey, density
    for place in sorted({round(last * step / _SAMPLED_FRAMES) for step in range(1, _SAMPLED_FRAMES + 1)}):
        try:
            seek_frame(image, place)
            load_pixels(image)
        except InputError:
            break
        found = text_density(image)
        if found.mid > density.mid:
            grey, density = flatten(image).convert("L"), found
    return grey, density


def picture(data: bytes, media_type: str, max_side: int | None = None, min_side: int | None = None) -> dict[str, Any]:
    """Return the first frame as an RGB or grey PNG: upright, without metadata, transparency replaced by paper.

    The paper has a colour on which the ink is visible. The image is shrunk until its longer side is at most
    ``max_side``, or its shorter side at most ``min_side``; a JPEG is then decoded at a fraction of its size.
    """
    header = checked_header(data, media_type)
    with sandbox.memory_limit(decode_memory(header, data)):
        image = open_image(data, media_type)
        if min_side:
            longer, shorter = max(image.size), max(1, min(image.size))
            max_side = -(-longer * min_side // shorter)
        if max_side:
            image.draft("RGB", (2 * max_side, 2 * max_side))
        load_pixels(image)
        image = flatten(rotate_by_exif(image))
        if max_side and max(image.size) > max_side:
            image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return encode_image(image)


def edit_mask(data: bytes, media_type: str, *, transparent: bool) -> dict[str, Any]:
    """Return a mask in the form that our models read: white where the image may change, black elsewhere.

    ``transparent``: in the form that OpenAI's hosts read instead, transparent where the image may change. Both forms
    are accepted as input: OpenAI's clients mark the area by transparency, others by white and black.
    """
    header = checked_header(data, media_type)
    with sandbox.memory_limit(decode_memory(header, data)):
        image = open_image(data, media_type)
        load_pixels(image)
        image = rotate_by_exif(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            alpha = image.convert("RGBA").getchannel("A")
            if any(alpha.histogram()[:_OPAQUE]):
                return _encoded_mask(alpha.point(_threshold_table(0, _OPAQUE - 1)), transparent)
        return _encoded_mask(flatten(image).convert("L").point(_threshold_table(128, 255)), transparent)


def _encoded_mask(changes: Image.Image, transparent: bool) -> dict[str, Any]:
    """Encode a mask that is white where an image may change."""
    if not transparent:
        return encode_image(changes)
    mask = Image.new("RGBA", changes.size, (0, 0, 0, 255))
    mask.putalpha(ImageChops.invert(changes))
    return encode_image(mask)


def rotate_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image turned upright by its EXIF orientation; the same object if it is upright already."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def rotate_by_exif(image: Image.Image) -> Image.Image:
    rotated = rotate_upright(image, _orientation(image))
    if rotated is image:
        return image
    rotated.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return rotated


def encode_image(image: Image.Image) -> dict[str, Any]:
    """Return an ``EncodedImage`` as a dict. The pixels are copied to a new image, so that no metadata is written."""
    copy = Image.new(image.mode, image.size)
    copy.paste(image)
    out = io.BytesIO()
    copy.save(out, "PNG", compress_level=4)  # 6 is 4 % smaller and takes twice as long on pages of text
    return {"data": out.getvalue(), "width": image.width, "height": image.height, "media_type": "image/png"}


def checked_header(data: bytes, media_type: str) -> header_readers.ImageHeader:
    if media_type not in _FORMATS:
        raise InputUnsupported("is not an image", todo="pass a PNG, JPEG, WebP, GIF, TIFF or BMP")
    _prepare(media_type)
    header = header_readers.image_header(data, media_type)
    if header.width * header.height > MAX_PIXELS:
        raise InputTooLarge(
            f"has {header.width:,} x {header.height:,} pixels, more than {MAX_PIXELS // 1_000_000} million",
            todo="shrink it first",
        )
    if header.frames > MAX_FRAMES:
        raise InputTooLarge(f"is an animation of more than {MAX_FRAMES:,} frames", todo="save one frame as PNG")
    return header


def _prepare(media_type: str) -> None:
    """Import the decoder of a format that needs more than Pillow. Raises NotInstalled if it is missing."""
    if media_type == "image/avif" and not features.check("avif"):
        raise NotInstalled("is an AVIF image, which this Pillow cannot decode", todo="run: pip install -U pillow")
    if media_type == "image/heic" and "HEIF" not in Image.OPEN:
        with sandbox.allow_files():
            if importlib.util.find_spec("pi_heif") is None:
                raise NotInstalled(
                    "is a HEIC image, and what decodes those is not installed",
                    todo="run: pip install 'intermodal[heic]', or convert it to JPEG",
                )
            import pi_heif

            pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)


def decode_memory(header: header_readers.ImageHeader, data: bytes) -> int:
    """Return the bytes that decoding may take: an image decoded, converted, copied and encoded, and the file itself."""
    return 20 * header.width * header.height + 2 * len(data) + (64 << 20)


def open_image(data: bytes, media_type: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=[_FORMATS[media_type]])
    except Image.DecompressionBombError:
        raise InputTooLarge(f"has more than {MAX_PIXELS // 1_000_000} million pixels", todo="shrink it first") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many exception classes for a bad header
        raise _broken_error(error) from None
    if media_type == "image/tiff" and (first := next(iter(header_readers.tiff_pages(data)), 0)):
        seek_frame(image, first)  # a thumbnail comes before it
    if image.width * image.height > MAX_PIXELS:
        raise InputTooLarge(f"has more than {MAX_PIXELS // 1_000_000} million pixels", todo="shrink it first")
    return image


def load_pixels(image: Image.Image) -> None:
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # OSError for cut data, SyntaxError for a bad chunk, zlib.error, …
        raise _broken_error(error) from None


def frame_count(image: Image.Image) -> int:
    """Return the number of frames or pages. Pillow reads the file to count them, which may reveal damage."""
    try:
        return int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception as error:
        raise _broken_error(error) from None


def seek_frame(image: Image.Image, place: int) -> None:
    """Select another frame of an animation or page of a TIFF. Raises InputBroken if it is damaged."""
    try:
        image.seek(place)
    except MemoryError:
        raise
    except Exception as error:
        raise _broken_error(error) from None
    if image.width * image.height > MAX_PIXELS:
        raise InputTooLarge(f"has more than {MAX_PIXELS // 1_000_000} million pixels", todo="shrink it first")


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) if there is none or it cannot be read."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged tag directory is no reason to refuse the pixels
        return 1
    return found if isinstance(found, int) else 1


def _making(image: Image.Image) -> tuple[str, str]:
    """Return when and with what device an image was taken, by its EXIF tags; "" for each that is not stated."""
    try:
        tags = image.getexif()
        return creation_date.exif_date(tags, tags.get_ifd(creation_date.EXIF_DETAILS)), creation_date.exif_device(tags)
    except Exception:  # a damaged tag directory, as in _orientation
        return "", ""


def _broken_error(error: Exception) -> InputBroken:
    words = str(error).lower()
    cut = "truncated" in words or "unexpected end" in words or "not enough" in words
    return InputBroken("is cut short" if cut else "cannot be decoded as an image", todo=_BROKEN_TODO)


def flatten(image: Image.Image) -> Image.Image:
    """Return the image as RGB or L.

    Palettes are resolved, 16-bit grey is scaled, CMYK converted, and transparency replaced by paper.
    """
    if image.mode in ("RGB", "L"):
        if "transparency" not in image.info:
            return image
        image = image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    if image.mode.startswith(("I", "F")):
        low, high = image.convert("F").getextrema()
        scale = 255 / 65535 if isinstance(high, float) and high > 255 else 1.0
        return (
            image.convert("F").point(lambda value: value * scale).convert("L")
            if isinstance(low, float)
            else image.convert("L")
        )
    if image.mode in ("P", "PA") and ("transparency" in image.info or image.mode == "PA"):
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "RGBa", "La"):
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, _paper(image))
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image.convert("RGB")


def _threshold_table(least: int, most: int) -> list[int]:
    """Return a lookup table that turns the grey levels from ``least`` to ``most`` white and all others black."""
    return [255 if least <= level <= most else 0 for level in range(256)]


def _paper(image: Image.Image) -> str:
    """Return a background colour on which the ink of a transparent image is visible: white, unless the ink is light.

    If nearly all ink is light, it would vanish on white. Light strokes among darker ink would vanish too, unless they
    lie on an area of ink (letters on a sign, the background of a chart).
    """
    sample = image.copy()
    sample.thumbnail((SAMPLE_SIDE, SAMPLE_SIDE), Image.Resampling.BOX)
    alpha = sample.getchannel("A")
    inked = alpha.point(_threshold_table(65, 255))
    ink = inked.histogram()[255]
    if not ink or ink == sample.width * sample.height:
        return "white"
    grey = sample.convert("RGB").convert("L")
    light = ImageChops.multiply(inked, grey.point(_threshold_table(_LIGHT, 255)))
    if ink - light.histogram()[255] < _FEW * ink:
        return _DARK_PAPER
    areas = inked.filter(ImageFilter.MinFilter(_STROKE)).filter(ImageFilter.MaxFilter(_STROKE))
    strokes = ImageChops.subtract(light, areas).histogram()[255]
    if strokes < _FEW * ink:
        return "white"
    dark = ImageChops.multiply(inked, grey.point(_threshold_table(0, 255 - _LIGHT)))
    return _DARK_PAPER if 4 * ImageChops.subtract(dark, areas).histogram()[255] < strokes else "grey"


def text_density(image: Image.Image) -> Quantity:
    """Return the estimated share of the area that is text.

    Text has paper and ink. In a small block, one grey level covers half the area, clearly different levels cover some
    of it, and the change between the two is sharp and frequent. Photographs shade gradually or have no flat background.
    Blocks that pass all three tests are counted. Calibrated on the example images: photographs 0 to 0.03, a page with
    one chart 0.04, pages of text 0.09 to 0.15, a screenshot of an invoice 0.16. The estimate is rough, hence its wide
    range.
    """
    text_blocks = blocks = 0
    for grey in letter_counts.scaled_images(flatten(image).convert("L"), SAMPLE_SIDE):
        text_count, block_count = _written_blocks(grey)
        text_blocks, blocks = text_blocks + text_count, blocks + block_count
    if not blocks:
        return between(0, 0, 1, "too small to sample")
    share = text_blocks / blocks
    basis = f"blocks that look written, sampled at {SAMPLE_SIDE} px"
    return between(round(share * 0.5, 4), round(share, 4), round(min(1.0, share * 2 + 0.02), 4), basis)


def _written_blocks(grey: Image.Image) -> tuple[int, int]:
    """Return the number of blocks that look like text, and the number of all blocks."""
    steps = ImageChops.difference(grey, ImageChops.offset(grey, 1, 0)).point([0] * 29 + [255] * 227)
    columns, rows = grey.width // _BLOCK, grey.height // _BLOCK
    if not columns * rows:
        return 0, 0
    text_blocks = 0
    shares = steps.reduce(_BLOCK, (0, 0, columns * _BLOCK, rows * _BLOCK)).tobytes()
    for place, changes in enumerate(shares):  # 0..255: how much of the block changes
        if 0.12 * 255 < changes < 0.75 * 255 - 0.5:
            left, top = place % columns * _BLOCK, place // columns * _BLOCK
            text_blocks += _has_paper_and_ink(grey.crop((left, top, left + _BLOCK, top + _BLOCK)).histogram())
    return text_blocks, columns * rows


def _has_paper_and_ink(levels: list[int]) -> bool:
    """Return True if one grey level (±6) fills half a block, and levels at least 56 away fill a sixteenth of it."""
    sums = [0, *accumulate(levels)]
    around = list(map(sub, [*sums[7:], *sums[-1:] * 6], [*sums[:1] * 6, *sums[:250]]))  # by level, give or take 6
    near = max(around)
    paper = around.index(near)
    ink = sums[max(0, paper - 55)] + sums[256] - sums[min(256, paper + 56)]
    return near > 0.5 * _AREA and ink > 0.06 * _AREA
