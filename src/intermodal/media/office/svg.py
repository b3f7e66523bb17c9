"""Converts SVG drawings to an image, and their text to text. Runs in the worker.

resvg draws shapes. It finds no fonts, because no file can be opened, so text is drawn into the image with Pillow's own
font, at its place and in about its size. Scripts, embedded pages and external references are removed first; embedded
images are probed first, like any others.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from collections.abc import Iterator
from typing import Any

import defusedxml.ElementTree
import resvg_py
from PIL import Image, ImageColor, ImageDraw, ImageFont

from intermodal.core.content import Value
from intermodal.errors import InputBroken, InputEmpty, InputError
from intermodal.media.image import decoder as pictures
from intermodal.media.office.conversion_types import ConvertedFile, EmbeddedFile
from intermodal.media.office.image_collector import Probe
from intermodal.media.office.office_package import local_name
from intermodal.media.office.style_sheets import Compound, StyleRule, StyleSheets, compound_of, declarations
from intermodal.plans.numbers import with_noun

_SVG, _HREF = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_LEAST, _MOST = 800, 2_000  # pixels of the longer side; a drawing has no pixels of its own
_UNSEEN = ("defs", "symbol", "clipPath", "mask", "pattern", "marker", "metadata", "style")
_REMOVED = ("script", "foreignObject", "iframe", "audio", "video", "animate", "set", "animateTransform")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_CALL = re.compile(rf"(\w{{1,20}})\s*\(((?:\s*{_NUMBER}[\s,]*){{1,6}})\)")
_MAX_LABELS = 2_000
_MAX_DEPTH = 200
_WRITTEN = re.compile(r"[\x20-\x7e\xa0-\u017f\u2010-\u2026\u20ac]+")  # characters that the font has
_TODO = "export it as PNG"

Matrix = tuple[float, float, float, float, float, float]
_SAME: Matrix = (1, 0, 0, 1, 0, 0)


class _Label(Value):
    """A line of text in the drawing and the point where it begins, in pixels of the image."""

    text: str
    x: float
    y: float
    size: float
    fill: str
    anchor: str


def convert(data: bytes, name: str, probe: Probe) -> ConvertedFile:
    root = _root(data)
    notes, left = list[str](), _remove_external(root, probe)
    if left:
        notes.append(f"{with_noun(left, 'image')} in it left out: on the web, or of a kind that is not taken")
    if hidden := _remove_hidden(root):
        notes.append(f"{with_noun(hidden, 'hidden element')} left out")
    lines = list(_all_texts(root))
    try:
        width, height = _longer_side(root)
        source = defusedxml.ElementTree.tostring(root, encoding="unicode")
        png = resvg_py.svg_to_bytes(svg_string=source, skip_system_fonts=True, width=width, height=height)
        image = pictures.open_image(png, "image/png").convert("RGBA")
    except BaseException as error:  # a panic of the library does not derive from Exception
        if isinstance(error, MemoryError | KeyboardInterrupt | SystemExit):
            raise
        raise InputBroken("cannot be drawn", todo=_TODO) from None
    unwritten = _draw_labels(image, root)
    if unwritten:
        notes.append(f"{with_noun(unwritten, 'label')} given as words only: no font here has the letters")
    if not lines and image.getchannel("A").getextrema() == (0, 0):
        raise InputEmpty("draws nothing", where=name, todo="check what wrote this file")
    out = io.BytesIO()
    image.save(out, "PNG")
    words = "Words in the drawing:\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""
    text = "\n\n".join(part for part in ("[image 1]", words) if part)
    return ConvertedFile(text=text, pictures=(EmbeddedFile(data=out.getvalue()),), notes=tuple(notes))


def _root(data: bytes) -> Any:
    try:
        root = defusedxml.ElementTree.fromstring(data, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except Exception:  # invalid markup, or constructs that the parser forbids
        raise InputBroken("cannot be read as an SVG drawing", todo=_TODO) from None
    if local_name(root) != "svg":
        raise InputBroken("cannot be read as an SVG drawing: it begins with something else", todo=_TODO)
    return root


def _remove_external(root: Any, probe: Probe) -> int:
    """Remove scripts and external references in place; return the number of removed images."""
    left = 0
    for parent in list(root.iter()):
        for child in list(parent):
            link = str(child.get(_HREF) or child.get("href") or "").strip()
            if local_name(child) in _REMOVED:
                parent.remove(child)
            elif local_name(child) in ("image", "feImage") and not _is_readable_link(link, probe):
                parent.remove(child)
                left += 1
            elif link and not link.startswith(("#", "data:")) and local_name(child) != "a":
                parent.remove(child)
    return left


# ---- what is hidden ------------------------------------------------------------------------------

_INHERITED = ("visibility", "fill", "fill-opacity", "stroke", "stroke-opacity", "font-size")
_HIDING = (*_INHERITED, "display", "opacity")
_NONE = re.compile(r"0*\.?0*%?")


def _remove_hidden(root: Any) -> int:
    """Remove invisible elements in place: not displayed, transparent, or without fill and stroke.

    Returns the number of removed elements that had text. Elements that only an animation would show count as hidden.
    """
    style_texts = ("".join(each.itertext()) for each in root.iter() if local_name(each) == "style")
    return _remove_hidden_in(root, StyleSheets(style_texts, _HIDING), {}, [_compound(root)])


def _remove_hidden_in(parent: Any, sheets: StyleSheets, style: dict[str, str], around: list[Compound]) -> int:
    found = 0
    for child in list(parent) if len(around) <= _MAX_DEPTH else ():
        if local_name(child) in _UNSEEN:  # drawn only where something refers to it
            continue
        itself = _compound(child)
        own = _compute_style(child, sheets.rules(itself, around), style)
        found += _remove_hidden_in(child, sheets, own, [*around, itself])
        if len(child):
            is_hidden = _is_not_displayed(own)  # with all its children
        else:
            is_hidden = _is_not_displayed(own) or own.get("visibility") in ("hidden", "collapse")
            is_hidden = is_hidden or (local_name(child) in ("text", "tspan", "textPath") and _has_no_ink(own))
        if is_hidden:
            found += bool("".join(child.itertext()).strip())
            _remove_child(parent, child)
        elif len(child) and local_name(child) in ("text", "tspan") and _is_unseen_text(own):
            found += bool((child.text or "").strip())
            child.text = ""
    return found


def _is_unseen_text(style: dict[str, str]) -> bool:
    return style.get("visibility") in ("hidden", "collapse") or _has_no_ink(style)


def _is_not_displayed(style: dict[str, str]) -> bool:
    return style.get("display") == "none" or _is_zero(style.get("opacity"))


def _has_no_ink(style: dict[str, str]) -> bool:
    filled = style.get("fill") not in ("none", "transparent") and not _is_zero(style.get("fill-opacity"))
    stroked = style.get("stroke", "none") not in ("none", "transparent") and not _is_zero(style.get("stroke-opacity"))
    return not (filled or stroked) or _is_zero((style.get("font-size") or "").removesuffix("px"))


def _is_zero(value: str | None) -> bool:
    return bool(value) and _NONE.fullmatch(value or "") is not None


def _remove_child(parent: Any, child: Any) -> None:
    """Remove a child and keep the text that follows it."""
    place = list(parent).index(child)
    tail = child.tail or ""
    if place:
        parent[place - 1].tail = (parent[place - 1].tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(child)


def _compound(element: Any) -> Compound:
    return compound_of(local_name(element), str(element.get("class") or "").split(), str(element.get("id") or ""))


def _compute_style(element: Any, rules: list[StyleRule], around: dict[str, str]) -> dict[str, str]:
    """Return the style of an element: inherited values, its attributes, matching rules, and its own style."""
    computed = {name: value for name, value in around.items() if name in _INHERITED}
    computed |= {name: str(element.get(name)).strip() for name in _HIDING if element.get(name)}
    for rule in rules:  # more specific and later rules win
        if rule.sure or not (_is_not_displayed(rule.declared) or _is_unseen_text(rule.declared)):
            computed |= rule.declared
    own, _ = declarations(str(element.get("style") or ""))
    return computed | {name: value for name, value in own.items() if name in _HIDING}


def _is_readable_link(link: str, probe: Probe) -> bool:
    head, _, body = link.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        return False
    try:
        probe(base64.b64decode("".join(body.split())))
    except (InputError, binascii.Error, ValueError):
        return False
    return True


def _all_texts(root: Any) -> Iterator[str]:
    """Return every text, title and description, one line each, without blank and repeated lines."""
    found: dict[str, None] = {}
    unused: set[Any] = set()
    if not any(local_name(element) == "use" for element in root.iter()):  # which draws elements that are only defined
        for element in root.iter():
            if local_name(element) in ("defs", "symbol"):
                unused.update(element.iter())
    for element in root.iter():
        if local_name(element) in ("text", "title", "desc") and element not in unused:
            lines = [" ".join(part.split()) for part in _text_lines(element)]
            found |= dict.fromkeys(line for line in lines if line)
    return iter(found)


def _text_lines(element: Any) -> Iterator[str]:
    """Yield the lines of a text element; a part with a position of its own begins a new line."""
    line = element.text or ""
    for each in element:
        if each.get("x") is not None or each.get("dy") is not None:
            yield line
            line = ""
        line += "".join(each.itertext()) + (each.tail or "")
    yield line


# ---- the size ------------------------------------------------------------------------------------


def _box(root: Any) -> tuple[float, float, float, float]:
    """Return the visible area of the drawing: x, y, width, height."""
    numbers = [float(each) for each in re.findall(_NUMBER, str(root.get("viewBox") or ""))[:4]]
    if len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    return 0.0, 0.0, _length(root.get("width"), 300), _length(root.get("height"), 150)


def _longer_side(root: Any) -> tuple[int | None, int | None]:
    """Return the longer of width and height in pixels, and None for the other, which is derived from it."""
    _, _, wide, high = _box(root)
    wide, high = _length(root.get("width"), wide), _length(root.get("height"), high)
    longer = round(min(_MOST, max(_LEAST, wide, high)))
    return (longer, None) if wide >= high else (None, longer)


def _length(text: str | None, otherwise: float) -> float:
    found = re.match(rf"\s*({_NUMBER})\s*(px|pt|mm|cm|in)?\s*$", text or "")
    scale = {"pt": 96 / 72, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0}
    value = float(found[1]) * scale.get(found[2] or "", 1.0) if found else otherwise
    return value if 0 < value < 1e7 else otherwise


# ---- words in the image ------------------------------------------------------------------------


def _draw_labels(image: Image.Image, root: Any) -> int:
    """Draw the text labels into the image; return the number of labels that could not be drawn."""
    left, top, wide, high = _box(root)
    scale = min(image.width / wide, image.height / high)
    begin: Matrix = (scale, 0, 0, scale, image.width / 2 - scale * (left + wide / 2),
                     image.height / 2 - scale * (top + high / 2))  # fmt: skip
    draw, unwritten, fonts = ImageDraw.Draw(image), 0, dict[float, Any]()
    for number, label in enumerate(_labels(root, begin, {}, 0)):
        if number >= _MAX_LABELS:
            break
        if not _WRITTEN.fullmatch(label.text):
            unwritten += 1
            continue
        size = round(min(500.0, max(4.0, label.size)), 1)
        if size not in fonts:
            fonts[size] = ImageFont.load_default(size)
        anchor = {"middle": "ms", "end": "rs"}.get(label.anchor, "ls")
        draw.text((label.x, label.y), label.text, fill=_colour(label.fill), font=fonts[size], anchor=anchor)
    return unwritten


def _labels(element: Any, matrix: Matrix, style: dict[str, str], depth: int) -> Iterator[_Label]:
    if local_name(element) in _UNSEEN or depth > _MAX_DEPTH:
        return
    style = {**style, **_style(element)}
    matrix = _times(matrix, _transform(str(element.get("transform") or "")))
    if local_name(element) == "text":
        yield from _lines_of(element, matrix, style)
        return
    for child in element:
        yield from _labels(child, matrix, style, depth + 1)


def _lines_of(element: Any, matrix: Matrix, style: dict[str, str]) -> Iterator[_Label]:
    """Yield the labels of a text element: one for itself, and one for each part with a position of its own."""
    size = _length(style.get("font-size"), 16)
    x, y = _attribute_length(element, "x", 0.0, size), _attribute_length(element, "y", 0.0, size)
    x, y = x + _attribute_length(element, "dx", 0.0, size), y + _attribute_length(element, "dy", 0.0, size)
    line, start, line_style = element.text or "", (x, y), style
    for part in element:
        if part.get("x") is not None or part.get("y") is not None or part.get("dy") is not None:
            yield from _label(line, *start, matrix, line_style)
            line_style = {**style, **_style(part)}
            x = _attribute_length(part, "x", start[0], size)
            y = _attribute_length(part, "y", start[1], size) + _attribute_length(part, "dy", 0.0, size)
            start, line = (x, y), ""
        line += "".join(part.itertext()) + (part.tail or "")
    yield from _label(line, *start, matrix, line_style)


def _label(text: str, x: float, y: float, matrix: Matrix, style: dict[str, str]) -> Iterator[_Label]:
    words = " ".join(text.split())
    a, b, c, d, e, f = matrix
    size = _length(style.get("font-size"), 16) * math.sqrt(abs(a * d - b * c))
    position = (a * x + c * y + e, b * x + d * y + f)
    if words and all(map(math.isfinite, (*position, size))):
        fill, anchor = style.get("fill", "black"), style.get("text-anchor", "start")
        yield _Label(text=words[:500], x=position[0], y=position[1], size=size, fill=fill, anchor=anchor)


def _style(element: Any) -> dict[str, str]:
    names = ("font-size", "fill", "text-anchor")
    attributes = {name: str(element.get(name)) for name in names if element.get(name)}
    return attributes | {
        name: value for name, value in declarations(str(element.get("style") or ""))[0].items() if name in names
    }


def _attribute_length(element: Any, name: str, otherwise: float, size: float) -> float:
    found = re.match(rf"\s*({_NUMBER})(em)?", str(element.get(name) or ""))
    if not found:
        return otherwise
    return float(found[1]) * (size if found[2] else 1.0)


def _colour(fill: str) -> tuple[int, ...]:
    try:
        return ImageColor.getrgb(fill)
    except ValueError:  # a gradient, a variable, "currentColor"
        return (0, 0, 0)


def _transform(text: str) -> Matrix:
    matrix = _SAME
    for what, arguments in _CALL.findall(text[:10_000]):
        n = [float(each) for each in re.findall(_NUMBER, arguments)]
        match what, len(n):
            case "matrix", 6:
                step: Matrix = (n[0], n[1], n[2], n[3], n[4], n[5])
            case "translate", _:
                step = (1, 0, 0, 1, n[0], n[1] if len(n) > 1 else 0)
            case "scale", _:
                step = (n[0], 0, 0, n[1] if len(n) > 1 else n[0], 0, 0)
            case "rotate", _:
                turn, x, y = math.radians(n[0]), n[1] if len(n) > 2 else 0.0, n[2] if len(n) > 2 else 0.0
                cos, sin = math.cos(turn), math.sin(turn)
                step = (cos, sin, -sin, cos, x - cos * x + sin * y, y - sin * x - cos * y)
            case _:
                step = _SAME
        matrix = _times(matrix, step)
    return matrix


def _times(first: Matrix, second: Matrix) -> Matrix:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return (a * g + c * h, b * g + d * h, a * i + c * j, b * i + d * j, a * k + c * m + e, b * k + d * m + f)
