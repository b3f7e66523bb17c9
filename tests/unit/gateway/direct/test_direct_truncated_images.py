"""An image whose end is missing is judged alike in the direct path and by the executor, which looks at its pixels."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from PIL import Image
from tests.unit.gateway.direct.both_paths import BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.test_both_paths_openai_chat import GOOD, SEES

SEED = 20_261_126


def drawn(kind: str, size: tuple[int, int]) -> bytes:
    """Noise, so that its pixels take many bytes, and several chunks of a PNG."""
    made = BytesIO()
    Image.frombytes("RGB", size, random.Random(SEED).randbytes(3 * size[0] * size[1])).save(made, kind)
    return made.getvalue()


WHOLE = {"png": drawn("PNG", (220, 160)), "jpeg": drawn("JPEG", (220, 160)), "webp": drawn("WEBP", (60, 40))}
CASES = {kind: Case([Model([GOOD], row=SEES)]) for kind in WHOLE}


def asking(kind: str, data: bytes) -> list[dict[str, Any]]:
    url = f"data:image/{kind};base64,{b64encode(data).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "What is this?"}]
    return [{"role": "user", "content": parts}]


def variants(kind: str, many: int) -> Iterator[bytes]:
    """Cut near its end, cut anywhere, and with something after it."""
    data, chance = WHOLE[kind], random.Random(SEED)
    yield data
    for missing in (1, 2, 3, 4, 8, 12, 13, 40):
        yield data[:-missing]
    for _ in range(many):
        yield data[: chance.randrange(50, len(data))]
    for more in (b"\0", b"\r\n", b"\0" * 100, data[-12:], data[:2000]):
        yield data + more


@pytest.mark.parametrize("kind", WHOLE)
def test_a_cut_picture_is_refused_wherever_the_executor_refuses_it(
    beside: BothPaths, kind: str, full_gates: bool
) -> None:
    refused = 0
    for data in variants(kind, 200 if full_gates else 8):
        messages = asking(kind, data)
        direct, executor = (beside.ask(way, kind, messages=messages) for way in ("direct", "executor"))
        different = unlike(vars(direct) | {"taken": 0}, vars(executor)) if direct.status != 200 else []
        assert direct.status == executor.status and different == [], (len(data), direct.answer, executor.answer)
        refused += direct.status == 400
        if direct.status == 400:
            assert not direct.hits and direct.answer["error"]["code"] == "input_broken"
    assert refused > 8


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_whole_picture_takes_the_direct_path(beside: BothPaths, kind: str) -> None:
    found = beside.ask("direct", kind, messages=asking(kind, WHOLE[kind]))
    assert found.status == 200 and found.taken == 1
