"""SVG drawings, and the paper under transparent pictures: nothing that is drawn may vanish."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator

import pytest
from PIL import Image, ImageDraw
from tests import documents
from tests.unit.media.test_expand import SIGN, pictures, taken

from intermodal.core.content import BytesSource, Text
from intermodal.core.content import Image as ImagePart
from intermodal.core.request import Message, Policy, Request
from intermodal.errors import InputBroken, InputError
from intermodal.media.expand import expand_request
from intermodal.media.fetch import CachingFetcher
from intermodal.media.image import decoder
from intermodal.media.request_media import open_request
from intermodal.media.worker_client import MediaWorker
from intermodal.planner.eligibility.privacy_labels import is_private

pytestmark = pytest.mark.anyio
NS = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
FLOW = f"""<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg {NS} viewBox="0 0 400 200"><title>Harbour</title><script>alert(1)</script>
<image href="http://127.0.0.1:9/a.png" width="9" height="9"/><style>@import url("http://127.0.0.1:9/x.css");</style>
<g transform="translate(20,20) scale(1)" font-size="14"><rect width="120" height="50" fill="#00f"/>
<text x="60" y="30" text-anchor="middle" fill="red">Crane <tspan x="60" dy="1.2em">Brunhilde</tspan></text></g>
<text x="20" y="150">Привет</text></svg>""".encode()
_TENFOLD = "".join(f'<g id="a{n}">' + f'<use xlink:href="#a{n - 1}"/>' * 10 + "</g>" for n in range(1, 9))
USED = f'<svg {NS}><defs><g id="a0"><rect width="1" height="1"/></g>{_TENFOLD}</defs><use xlink:href="#a8"/></svg>'


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


def shown(data: bytes) -> Image.Image:
    return decoder.flatten(Image.open(io.BytesIO(data)))


async def test_a_drawing_is_drawn_and_its_words_are_words(worker: MediaWorker) -> None:
    parts = await taken(worker, "flow.svg", FLOW)
    text = parts[0]
    assert isinstance(text, Text)
    assert text.text == "[image 1]\n\nWords in the drawing:\n\n- Harbour\n- Crane\n- Brunhilde\n- Привет"
    assert text.notes == (
        "1 image in it left out: on the web, or of a kind that is not taken",
        "1 label given as words only: no font here has the letters",
    )
    ((name, data),) = pictures(parts)
    drawn = shown(data)
    assert name == "flow.svg, image 1" and drawn.size == (800, 400)
    assert drawn.getpixel((60, 60)) == (0, 0, 255) and drawn.getpixel((5, 5)) == (255, 255, 255)
    inside = drawn.crop((40, 40, 280, 140))
    assert any(colour == (255, 0, 0) for _, colour in inside.getcolors(100_000) or ())  # the label, where it stands


async def test_a_drawing_may_be_given_as_a_picture_and_is_private_as_one(worker: MediaWorker) -> None:
    part = ImagePart(source=BytesSource(data=FLOW, name="flow.svg"))
    fetcher = CachingFetcher()
    request = await expand_request(Request(messages=(Message(role="user", parts=(part,)),)), worker, fetcher)
    opened = await open_request(request, worker, fetcher=fetcher)
    assert [each.kind for each in opened.facts.parts] == ["text", "image"]
    assert all(is_private(Policy(private=("image",)), each) for each in opened.facts.parts)


async def test_a_picture_in_a_drawing_is_drawn_and_a_broken_one_is_left_out(worker: MediaWorker) -> None:
    inside = "data:image/png;base64," + base64.b64encode(documents.picture(colour="red")).decode()
    broken = "data:image/png;base64," + base64.b64encode(SIGN[:100]).decode()
    source = f'<svg {NS} width="240" height="120"><image xlink:href="{inside}" width="240" height="120"/>' \
             f'<image xlink:href="{broken}" width="9" height="9"/></svg>'  # fmt: skip
    parts = await taken(worker, "a.svg", source.encode())
    assert shown(pictures(parts)[0][1]).getpixel((400, 200)) == (255, 0, 0)
    assert isinstance(parts[0], Text) and parts[0].notes[0].startswith("1 image in it left out")


@pytest.mark.parametrize(
    "source",
    [
        f'<!DOCTYPE svg [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><svg {NS}><text>&b;</text></svg>',
        f'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg {NS}><text>&a;</text></svg>',
        USED,
        f"<svg {NS}><unclosed></svg>",
    ],
)  # fmt: skip
async def test_a_drawing_that_is_a_bomb_is_refused(worker: MediaWorker, source: str) -> None:
    with pytest.raises(InputBroken, match=r"cannot be (read|drawn)"):
        await taken(worker, "bomb.svg", source.encode())


@pytest.mark.parametrize(
    "source",
    [
        f'<svg {NS} width="1e9" height="1"><rect width="5" height="1"/></svg>',
        f'<svg {NS} viewBox="0 0 1e-30 1e30"><text x="1e308" y="1e308" font-size="1e308">x</text></svg>',
        f"<svg {NS}>" + "<g>" * 3000 + "<text>deep</text>" + "</g>" * 3000 + "</svg>",
        f'<svg {NS}><use xlink:href="/etc/passwd#a"/><text>words</text></svg>',
        f'<svg {NS}><g id="a"><use xlink:href="#a"/></g><text>round</text></svg>',
    ],
)
async def test_odd_drawings_are_drawn_or_refused_within_bounds(worker: MediaWorker, source: str) -> None:
    try:
        parts = await taken(worker, "odd.svg", source.encode())
    except InputError as error:
        assert error.todo
        return
    for _, data in pictures(parts):
        assert max(Image.open(io.BytesIO(data)).size) <= 2_000


# ---- paper ---------------------------------------------------------------------------------------


def transparent(*strokes: str, area: str = "", mode: str = "RGBA") -> Image.Image:
    """Lines of these colours on nothing, over an area of a colour."""
    made = Image.new("RGBA", (400, 200), (0, 0, 0, 0))
    draw = ImageDraw.Draw(made)
    if area:
        draw.rectangle((20, 20, 200, 180), fill=area)
    for number, colour in enumerate(strokes):
        for line in range(6):
            draw.text((30 + number * 180, 25 + line * 25), "KONTOR 7 ships", fill=colour, font_size=18)
    return made.convert(mode)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize(
    ("strokes", "area", "light"),
    [(("white",), "", False), (("black",), "", True), (("black",), "white", True), ((), "white", False),
     (("white", "#c00000"), "", False), (("#ffee88",), "", False), (("#203080",), "", True),
     (("white",), "#802020", True)],
)  # fmt: skip
def test_the_paper_under_a_transparent_picture_shows_its_ink(
    strokes: tuple[str, ...], area: str, light: bool, mode: str
) -> None:
    made = transparent(*strokes, area=area)
    if mode == "P":
        out = io.BytesIO()
        made.quantize(64, method=Image.Quantize.FASTOCTREE).save(out, "PNG")
        made = Image.open(out)
    else:
        made = made.convert(mode)
    flat = decoder.flatten(made)
    assert (flat.convert("L").getpixel((395, 5)) > 128) is light
    levels = flat.convert("L").histogram()
    assert sum(levels[:100]) > 100 and sum(levels[100:]) > 100  # there is something to see


def test_black_and_white_letters_on_nothing_are_both_seen() -> None:
    flat = decoder.flatten(transparent("white", "black")).convert("L")
    assert 90 < flat.getpixel((395, 5)) < 165
    assert flat.getextrema() == (0, 255)


def test_an_opaque_picture_is_what_it_was() -> None:
    made = documents.picture("KONTOR 7")
    assert (
        decoder.flatten(Image.open(io.BytesIO(made)).convert("RGBA")).tobytes()
        == Image.open(io.BytesIO(made)).tobytes()
    )


_HIDDEN = (
    '<text x="9" y="9" opacity="0">{}</text>',
    '<g opacity="0.0"><text x="9" y="9">{}</text></g>',
    '<text style="display:none" x="9" y="9">{}</text>',
    '<text visibility="hidden" x="9" y="9">{}</text>',
    '<g visibility="collapse"><text x="9" y="9">{}</text></g>',
    '<text class="note old" x="9" y="9">{}</text>',
    '<text id="draft" x="9" y="9">{}</text>',
    '<text fill="none" x="9" y="9">{}</text>',
    '<text fill-opacity="0%" x="9" y="9">{}</text>',
    '<text font-size="0" x="9" y="9">{}</text>',
    '<text x="9" y="9">before <tspan opacity="0">{}</tspan>after</text>',
)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", _HIDDEN)
async def test_hidden_words_of_a_drawing_are_not_read_and_that_is_said(worker: MediaWorker, hidden: str) -> None:
    data = (
        f'<svg {NS} viewBox="0 0 99 99"><style>.old {{ display: none }} #draft {{ visibility: hidden }}</style>'
        f'<text x="9" y="40">Seen</text>{hidden.format("Secret")}</svg>'
    ).encode()
    text = (await taken(worker, "flow.svg", data))[0]
    assert isinstance(text, Text)
    assert "Seen" in text.text and "Secret" not in text.text
    assert ("before" in text.text and "after" in text.text) is ("before" in hidden)
    assert text.notes == ("1 hidden element left out",)


@pytest.mark.slow
async def test_what_a_drawing_shows_within_something_hidden_is_read(worker: MediaWorker) -> None:
    shown = (
        '<g visibility="hidden"><text x="9" y="9" visibility="visible">One</text></g>'
        '<text fill="none" stroke="red" x="9" y="20">Two</text><text opacity="0.4" x="9" y="30">Three</text>'
    )
    text = (await taken(worker, "flow.svg", f'<svg {NS} viewBox="0 0 99 99">{shown}</svg>'.encode()))[0]
    assert isinstance(text, Text)
    assert [word in text.text for word in ("One", "Two", "Three")] == [True] * 3 and text.notes == ()
