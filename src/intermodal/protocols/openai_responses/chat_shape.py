"""Parse requests of OpenAI's Responses API, as far as the direct path needs; see ``openai_chat/chat_shape.py``.

Items are written again as the codec writes them, because clients send items back that came from elsewhere, with ids
that no host knows. Long texts in them go on as they came.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from intermodal.protocols.framing.image_facts import image_in_data_url
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.framing.media_extraction import ExtractedBody
from intermodal.protocols.openai_responses.request import OUR_ID
from intermodal.protocols.openai_responses.server import ROLES, TEXT_PARTS
from intermodal.protocols.parsed_chat import (
    VARYING,
    ConversationReader,
    Opened,
    ParsedChat,
    TextMeasurer,
    read_conversation,
    settings_in,
)
from intermodal.protocols.request_fields import direct_fields

KEPT = ("input",)
_TAKEN = direct_fields("openai-responses")
_NOT_ASKED = frozenset({
    "model", "instructions", "input", "stream", "store", "include", *VARYING,
})  # fmt: skip
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_NOTHING = (b"null", b'""')


class _Part(msgspec.Struct):
    type: str
    text: msgspec.Raw = msgspec.Raw()
    image_url: msgspec.Raw = msgspec.Raw()
    detail: Literal["auto", "low", "high"] | None = None


class _Item(msgspec.Struct):
    type: str | None = None
    id: str = ""
    role: str = ""
    content: msgspec.Raw = msgspec.Raw()
    call_id: str = ""
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()


_items = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(_Item)
_parts = msgspec.json.Decoder(list[_Part])
_word = msgspec.json.Decoder(str)
Pieces = list[bytes | memoryview]


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None where it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _read, unread="openai-responses")


def _read(body: ExtractedBody, opened: Opened, turns: ConversationReader) -> ParsedChat | None:
    fields = opened[0]
    if any(name in fields and bytes(fields[name]) not in _NOTHING for name in _KEPT_ELSEWHERE):
        return None
    reader = _Reader(body, turns)
    told = fields.get("instructions", b"null")
    if bytes(told) not in _NOTHING and not reader.message("system", told):
        return None
    given = memoryview(fields["input"])
    if _is_text(given):
        if not reader.message("user", given):
            return None
    elif not all(map(reader.item, _items.decode(given))):
        return None
    settings = settings_in(fields, _NOT_ASKED)
    return turns.chat("responses", body, opened, settings, written={"input": reader.written()})


def _is_text(raw: memoryview) -> bool:
    return bytes(raw[:1]) == b'"'


class _Reader:
    """Goes through the items in their order; False from what is not taken."""

    def __init__(self, body: ExtractedBody, turns: ConversationReader) -> None:
        self._body = body
        self._turns = turns
        self._role = ""
        self._said = False  # the item before was a message
        self._calls: set[str] = set()
        self._out: Pieces = [b"["]

    def written(self) -> Pieces:
        return [*self._out, b"]"]

    def item(self, raw: msgspec.Raw) -> bool:
        found = _item.decode(raw)
        kind = found.type or "message"
        if kind == "message":
            return self.message(ROLES.get(found.role, ""), found.content)
        if kind == "function_call":
            return self._call(found)
        if kind == "function_call_output":
            return self._result(found)
        if kind != "reasoning":
            return False
        self._turn("assistant")
        tree = loads(bytes(raw))
        thought = dumps(tree)
        if found.id.startswith(OUR_ID):
            del tree["id"]
        self._write(dumps(tree))
        done = self._turns.thought(thought.decode())
        self._turns.answered()
        return done

    def message(self, role: str, content: msgspec.Raw | memoryview | bytes) -> bool:
        if not role or (role == self._role and self._said):  # two that are one everywhere else
            return False
        self._turn(role)
        self._said = True
        raw = memoryview(content)
        if _is_text(raw):
            done = self._turns.words(_word.decode(raw))
            self._write(b'{"type":"message","role":"%b","content":' % role.encode(), raw, b"}")
        else:
            done = self._parts(role, _parts.decode(raw))
        if role == "assistant":
            self._turns.answered()
        return done

    def _parts(self, role: str, parts: list[_Part]) -> bool:
        if all(part.type in TEXT_PARTS for part in parts):
            words = [_word.decode(part.text) for part in parts]
            if role == "assistant" and len(words) != 1:
                return False
            said = dumps("\n\n".join(words)) if len(words) != 1 else memoryview(parts[0].text)
            self._write(b'{"type":"message","role":"%b","content":' % role.encode(), said, b"}")
            return bool(words) and all(map(self._turns.words, words))
        if role != "user":
            return False
        self._write(b'{"type":"message","role":"user","content":[')
        for number, part in enumerate(parts):
            self._out.append(b"," if number else b"")
            detail = part.detail or "auto"
            if part.type in TEXT_PARTS and self._turns.words(_word.decode(part.text)):
                self._out += (b'{"type":"input_text","text":', memoryview(part.text), b"}")
            elif part.type == "input_image" and self._picture(memoryview(part.image_url), detail):
                begin = b'{"type":"input_image","detail":"%b","image_url":' % detail.encode()
                self._out += (begin, *self._body.whole(memoryview(part.image_url)), b"}")
            else:
                return False
        self._out.append(b"]}")
        return True

    def _picture(self, url: memoryview, detail: str) -> bool:
        return self._turns.picture(image_in_data_url(url, self._body.media), detail)

    def _call(self, item: _Item) -> bool:
        if not item.call_id or not item.name:
            return False
        self._turn("assistant")
        self._calls.add(item.call_id)
        head = {"type": "function_call", "call_id": item.call_id, "name": item.name}
        self._write(dumps(head)[:-1], b',"arguments":', memoryview(item.arguments), b"}")
        done = self._turns.call(item.name, _word.decode(item.arguments))
        self._turns.answered()
        return done

    def _result(self, item: _Item) -> bool:
        if item.call_id not in self._calls:
            return False
        raw = memoryview(item.output)
        if _is_text(raw):
            text, said = _word.decode(raw), raw
        else:
            parts = _parts.decode(raw)
            if not all(part.type in TEXT_PARTS for part in parts):
                return False
            text = "".join(_word.decode(part.text) for part in parts)
            said = memoryview(dumps(text))
        self._turn("tool")
        self._write(b'{"type":"function_call_output","call_id":', dumps(item.call_id), b',"output":', said, b"}")
        return self._turns.result(text)

    def _turn(self, role: str) -> None:
        self._said = False
        if role != self._role:  # neighbours of one role are one message
            self._role = role
            self._turns.begin(role)

    def _write(self, *pieces: bytes | memoryview) -> None:
        if len(self._out) > 1:
            self._out.append(b",")
        self._out += pieces
