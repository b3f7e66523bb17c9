"""Requests that grow: a small one of every protocol and door, and operators that make one part of it larger.

What an operator adds is proportional to ``n``, so that twice ``n`` must not cost four times as much. Operators can be
applied one after the other; a seeded search (``test_request_cost.py``) looks for the slowest of them.
"""

from __future__ import annotations

import base64
import json
import random
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from intermodal.testing.attempts import Attempt

JSON = "application/json"
_FORM = "multipart/form-data; boundary=cut"


class Body(NamedTuple):
    path: str
    kind: str
    data: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Door(NamedTuple):
    """Where requests of a protocol go, and how it says them. ``said``: the field of the messages, or, where there are
    none, of their words: joined, or each an item where they are ``apart``."""

    path: str
    said: str = "messages"
    words: str = "text"  # the type of a part of words
    more: tuple[tuple[str, Any], ...] = ()
    apart: bool = False
    model: str = "cloud/strong"


CHAT = Door("/v1/chat/completions")
MESSAGES = Door("/v1/messages", more=(("max_tokens", 100),))
RESPONSES = Door("/v1/responses", said="input", words="input_text")
OLLAMA = Door("/api/chat", more=(("stream", False),))
EXPLAIN = Door("/v1/explain")
COUNT = Door("/v1/messages/count_tokens")
GENERATE = Door("/api/generate", said="prompt", more=(("stream", False),))
EMBED = Door("/api/embed", said="input", apart=True, model="cloud/vectors")
CHATS = (CHAT, MESSAGES, RESPONSES, OLLAMA, EXPLAIN, COUNT, GENERATE, EMBED)
_OLLAMAS = (OLLAMA, GENERATE, EMBED)  # whose messages have no parts
_WORDS_ALONE = (GENERATE, EMBED)  # who take no messages


LONG_ANSWERS: Mapping[str, Callable[[], str]] = {
    "cloud/long-word": lambda: "x" * (20 << 20),
    "cloud/long-line": lambda: ("and-so-on-" * 105 + " ") * 10_000,
    "cloud/many-pieces": lambda: "and so on " * 20_000,
    "cloud/some-pieces": lambda: "and so on " * 2_000,
    "cloud/bytes-fault-split": lambda: "and so on " * 300,
}


def answer(attempt: Attempt) -> str:
    """What a host answers, where nobody cares; JSON where a schema asks for it."""
    if attempt.schema is not None:
        return "{}"
    return LONG_ANSWERS[attempt.model]() if attempt.model in LONG_ANSWERS else "fine"


def config_of(base_url: str) -> str:
    """A config with one host: models that take whatever comes, a small one, one that sees, one for vectors, and some
    whose answers are long (``answer``)."""
    made = f'[hosts.cloud]\nbase_url = "{base_url}"\nzone = "internet"\nforced_json = true\n'
    for name, more in (
        ("strong", ""), ("small", "context = 32000"), ("seeing", 'input = ["text", "image"]'),
        ("vectors", 'tasks = ["feature-extraction"]'), *[(each.removeprefix("cloud/"), "") for each in LONG_ANSWERS],
    ):  # fmt: skip
        rows = {
            "context": "100_000_000", "tier": '"large"', "input": '["text"]', "input_mtok": "0.0001",
            "output_mtok": "0.0004",
        }  # fmt: skip
        for line in filter(None, [more]):
            key, _, value = line.partition(" = ")
            rows[key] = value
        made += f'[[hosts.cloud.models]]\nid = "cloud/{name}"\n'
        made += "".join(f"{key} = {value}\n" for key, value in rows.items())
    return made


class Draft:
    """A request that grows. ``raw``: what stands in the place of words that no JSON library would write."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": "What is it?"}]
        self.tree: dict[str, Any] = {"model": door.model, door.said: self.messages, **dict(door.more)}
        self.raw: dict[str, bytes] = {}

    def part(self, words: str) -> dict[str, Any]:
        return {"type": self.door.words, "text": words}

    def say(self, content: Any) -> None:
        """One more message of the user, before the question."""
        self.messages.insert(-1, {"role": "user", "content": content})

    def instead(self, data: bytes) -> str:
        """A word in whose place, quotes included, those bytes stand."""
        word = f"@{len(self.raw)}@"
        self.raw[word] = data
        return word

    def body(self) -> Body:
        if self.door in _WORDS_ALONE:
            said = [each["content"] for each in self.messages]
            self.tree[self.door.said] = said if self.door.apart else "\n".join(said)
            seen = [picture for each in self.messages for picture in each.get("images", ())]
            self.tree |= {"images": seen} if seen else {}
        data = json.dumps(self.tree, ensure_ascii=False).encode()
        for word, instead in self.raw.items():
            data = data.replace(json.dumps(word).encode(), instead)
        return Body(self.door.path, JSON, data)


Operator = Callable[[Draft, int], None]


def png(width: int = 8, height: int = 8, shade: int = 0) -> bytes:
    """An image, valid at any size for a few bytes a line."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = (b"\0" + bytes([shade % 256]) * width) * height
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def _picture(draft: Draft, data: bytes) -> dict[str, Any]:
    coded = base64.b64encode(data).decode()
    uri = f"data:image/png;base64,{coded}"
    if draft.door in (MESSAGES, COUNT):
        return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": coded}}
    if draft.door is RESPONSES:
        return {"type": "input_image", "image_url": uri}
    return {"type": "image_url", "image_url": {"url": uri}}


# ---- operators ---------------------------------------------------------------------------------


def turns(draft: Draft, n: int) -> None:
    said = [
        {"role": "assistant" if number % 2 else "user", "content": f"what was said at {number}"}
        for number in range(n - n % 2)
    ]
    draft.messages[:0] = said


def monologue(draft: Draft, n: int) -> None:
    draft.messages[:0] = [{"role": "user", "content": "and then"} for _ in range(n)]


def instructions(draft: Draft, n: int) -> None:
    if draft.door in (MESSAGES, COUNT):
        draft.tree["system"] = [{"type": "text", "text": f"rule {number}"} for number in range(n)]
    else:
        draft.messages[:0] = [{"role": "system", "content": f"rule {number}"} for number in range(n)]


def parts(draft: Draft, n: int) -> None:
    if draft.door in _OLLAMAS:
        monologue(draft, n)
    else:
        draft.say([draft.part(f"piece {number}") for number in range(n)])


def marks_of_a_cache(draft: Draft, n: int) -> None:
    if draft.door in (MESSAGES, COUNT):
        draft.say([{**draft.part(f"p {number}"), "cache_control": {"type": "ephemeral"}} for number in range(n)])
    else:
        parts(draft, n)


def calls(draft: Draft, n: int) -> None:
    """Of tools, each with its result."""
    tools(draft, 1)
    said: list[dict[str, Any]] = []
    for number in range(n):
        name = f"call_{number}"
        if draft.door is RESPONSES:
            said += [
                {"type": "function_call", "call_id": name, "name": "tool_0", "arguments": "{}"},
                {"type": "function_call_output", "call_id": name, "output": "done"},
            ]
        elif draft.door in (MESSAGES, COUNT):
            said += [
                {"role": "assistant", "content": [{"type": "tool_use", "id": name, "name": "tool_0", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": name, "content": "done"}]},
            ]
        elif draft.door in _OLLAMAS:
            call: dict[str, Any] = {"function": {"name": "tool_0", "arguments": {}}}
            said += [
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_name": "tool_0", "content": "done"},
            ]
        else:
            call = {"id": name, "type": "function", "function": {"name": "tool_0", "arguments": "{}"}}
            said += [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": name, "content": "done"},
            ]
    draft.messages[-1:-1] = said


def _tool(draft: Draft, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if draft.door in (MESSAGES, COUNT):
        return {"name": name, "input_schema": schema}
    if draft.door is RESPONSES:
        return {"type": "function", "name": name, "parameters": schema}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def tools(draft: Draft, n: int) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
    known = draft.tree.setdefault("tools", [])
    known += [_tool(draft, f"tool_{number}", schema) for number in range(len(known), len(known) + n)]


def wide_tool(draft: Draft, n: int) -> None:
    properties = {f"field_{number}": {"type": "string"} for number in range(n)}
    tool = _tool(draft, "wide", {"type": "object", "properties": properties})
    draft.tree["tools"] = [*draft.tree.get("tools", []), tool]


def words(draft: Draft, n: int) -> None:
    draft.say("some words here " * n)


def one_word(draft: Draft, n: int) -> None:
    draft.say("x" * (16 * n))


def figures(draft: Draft, n: int) -> None:
    draft.say("1234567 8901234 " * n)


def blank_lines(draft: Draft, n: int) -> None:
    draft.say("\r\n" * (8 * n))


def wide_letters(draft: Draft, n: int) -> None:
    draft.say("漢字" * (4 * n))


def signs(draft: Draft, n: int) -> None:
    draft.say("</s>{{#}}<|x|>![](" * n)


def escapes(draft: Draft, n: int) -> None:
    draft.say(draft.instead(b'"' + b"\\u00e9\\n" * (4 * n) + b'"'))


def pairs(draft: Draft, n: int) -> None:
    draft.say(draft.instead(b'"' + b"\\ud83d\\ude00" * (2 * n) + b'"'))


def halves(draft: Draft, n: int) -> None:
    draft.say(draft.instead(b'"' + b"\\ud83d" * (2 * n) + b'"'))


def deep(draft: Draft, n: int) -> None:
    draft.tree["metadata"] = draft.instead(b'{"a":' * n + b"1" + b"}" * n)


def deep_tool(draft: Draft, n: int) -> None:
    schema = b'{"type":"object","properties":{"a":' * n + b"{}" + b"}}" * n
    tool = _tool(draft, "deep", {"type": "object"})
    (tool.get("function") or tool)["input_schema" if "input_schema" in tool else "parameters"] = draft.instead(schema)
    draft.tree["tools"] = [*draft.tree.get("tools", []), tool]


def arrays(draft: Draft, n: int) -> None:
    draft.tree["metadata"] = {"a": [[] for _ in range(n)]}


def wide(draft: Draft, n: int) -> None:
    draft.tree["metadata"] = {f"key {number}": number for number in range(n)}


def fields(draft: Draft, n: int) -> None:
    draft.tree |= {f"field_{number}": number for number in range(n)}


def same_field(draft: Draft, n: int) -> None:
    draft.tree["user"] = draft.instead(b'"x"' + b',"user":"x"' * n)


def stops(draft: Draft, n: int) -> None:
    draft.tree["stop_sequences" if draft.door in (MESSAGES, COUNT) else "stop"] = [
        f"end {number}" for number in range(n)
    ]


def biases(draft: Draft, n: int) -> None:
    draft.tree["logit_bias"] = {str(number): 1 for number in range(n)}


def long_number(draft: Draft, n: int) -> None:
    draft.tree["seed"] = draft.instead(b"9" * (16 * n))


def long_fraction(draft: Draft, n: int) -> None:
    draft.tree["temperature"] = draft.instead(b"0." + b"1" * (16 * n))


def blanks(draft: Draft, n: int) -> None:
    draft.tree["user"] = draft.instead(b" " * (16 * n) + b'"x"')


def long_name(draft: Draft, n: int) -> None:
    draft.tree["user"] = "n" * (16 * n)


def words_in_calls(draft: Draft, n: int) -> None:
    """A call of a tool whose arguments are long."""
    calls(draft, 1)
    said = json.dumps({"text": "some words here " * n})
    for message in draft.messages:
        if message.get("type") == "function_call":
            message["arguments"] = said
        for call in message.get("tool_calls") or ():
            call["function"]["arguments"] = json.loads(said) if draft.door is OLLAMA else said
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if part["type"] == "tool_use":
                part["input"] = json.loads(said)


def form(draft: Draft, n: int) -> None:
    """A schema of the answer, as large as one is taken."""
    schema = {"type": "object", "properties": {f"field_{each}": {"type": "string"} for each in range(min(n, 3_300))}}
    if draft.door in (MESSAGES, COUNT):
        draft.tree["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    elif draft.door is RESPONSES:
        draft.tree["text"] = {"format": {"type": "json_schema", "name": "form", "schema": schema}}
    elif draft.door in _OLLAMAS:
        draft.tree["format"] = schema
    else:
        draft.tree["response_format"] = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}


def long_model(draft: Draft, n: int) -> None:
    draft.tree["model"] = "m" * (16 * n)


def unknown_model(draft: Draft, n: int) -> None:
    """A name that nobody has, and that many are like."""
    draft.tree["model"] = f"nobody/llama-3.1-{n}b-instructs"


def pictures(draft: Draft, n: int) -> None:
    """Of them so many that each takes as long as twenty texts."""
    draft.tree["model"] = "cloud/seeing"
    made = [png(shade=number) for number in range(-(-n // 20))]
    if draft.door in _OLLAMAS:
        coded = [base64.b64encode(data).decode() for data in made]
        draft.messages.insert(-1, {"role": "user", "content": "look", "images": coded})
    else:
        draft.say([_picture(draft, data) for data in made])


def same_picture(draft: Draft, n: int) -> None:
    draft.tree["model"] = "cloud/seeing"
    if draft.door in _OLLAMAS:
        pictures(draft, n)
    else:
        draft.say([_picture(draft, png()) for _ in range(-(-n // 20))])


OPERATORS: Mapping[str, Operator] = {
    each.__name__: each
    for each in (
        turns, monologue, instructions, parts, marks_of_a_cache, calls, tools, wide_tool, words, one_word, figures,
        blank_lines, wide_letters, signs, escapes, pairs, halves, deep, deep_tool, arrays, wide, fields, same_field,
        stops, biases, long_number, long_fraction, blanks, long_name, long_model, unknown_model, words_in_calls, form,
        pictures, same_picture,
    )
}  # fmt: skip


def grown(door: Door, *steps: tuple[str, int]) -> Body:
    """A small chat at this door, grown step by step."""
    draft = Draft(door)
    for name, n in steps:
        OPERATORS[name](draft, n)
    return draft.body()


# ---- the other doors ---------------------------------------------------------------------------


def texts_to_embed(n: int) -> Body:
    tree = {"model": "cloud/vectors", "input": [f"text {number}" for number in range(-(-n // 20))]}
    return Body("/v1/embeddings", JSON, json.dumps(tree).encode())


def text_to_embed(n: int) -> Body:
    return Body("/v1/embeddings", JSON, json.dumps({"model": "cloud/vectors", "input": "some words " * n}).encode())


def tokens_to_embed(n: int) -> Body:
    tree = {"model": "cloud/vectors", "input": [[1, 2, 3, 4] for _ in range(n)]}
    return Body("/v1/embeddings", JSON, json.dumps(tree).encode())


def long_conversation(n: int) -> Body:
    """Of so many words that a piece of it is planned with before all of it is counted."""
    said = [{"role": "user", "content": "some words here and there " * 42} for _ in range(min(n, 7_000))]
    return Body(CHAT.path, JSON, json.dumps({"model": "cloud/strong", "messages": said}).encode())


def text_to_speak(n: int) -> Body:
    tree = {"model": "cloud/strong", "voice": "alloy", "input": "some words " * n}
    return Body("/v1/audio/speech", JSON, json.dumps(tree).encode())


def text_to_draw(n: int) -> Body:
    tree = {"model": "cloud/strong", "prompt": "some words " * n}
    return Body("/v1/images/generations", JSON, json.dumps(tree).encode())


def form_of_fields(n: int) -> Body:
    part = b'--cut\r\nContent-Disposition: form-data; name="user"\r\n\r\nx\r\n'
    return Body("/v1/audio/transcriptions", _FORM, part * n + b"--cut--\r\n")


def form_of_a_file(n: int) -> Body:
    head = b'--cut\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n'
    data = b"RIFF" + b"\r\n--cu" * (2 * n)
    made = head % (b"model", b"") + b"cloud/strong\r\n" + head % (b"file", b'; filename="a.wav"') + data
    return Body("/v1/audio/transcriptions", _FORM, made + b"\r\n--cut--\r\n")


OTHERS: Mapping[str, Callable[[int], Body]] = {
    each.__name__: each
    for each in (
        texts_to_embed, text_to_embed, tokens_to_embed, long_conversation, text_to_speak, text_to_draw, form_of_fields,
        form_of_a_file,
    )
}  # fmt: skip


# ---- as large as they are taken ----------------------------------------------------------------

_MIB = 1 << 20


def _chat(door: Door, name: str, n: int) -> Callable[[], Body]:
    return lambda: grown(door, (name, n))


def _from(model: str, **more: Any) -> Callable[[], Body]:
    tree = {"model": model, "messages": [{"role": "user", "content": "Say a lot."}], "max_tokens": 10_000_000, **more}
    return lambda: Body(CHAT.path, JSON, json.dumps(tree).encode())


def _noise(width: int, height: int) -> bytes:
    """An image that is no smaller than its pixels."""
    shades = random.Random(width).randbytes(width * height)
    lines = b"".join(b"\0" + shades[at : at + width] for at in range(0, width * height, width))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(lines, 1)) + chunk(b"IEND", b"")


def looked_at(model: str, door: Door, *made: bytes) -> Body:
    """A question about images."""
    draft = Draft(door)
    draft.tree["model"] = model
    draft.say([_picture(draft, each) for each in made])
    return draft.body()


def _under_a_key(length: int) -> Body:
    """Under an Idempotency-Key of so many letters."""
    return grown(CHAT, ("words", 1))._replace(headers=(("idempotency-key", "k" * length),))


LARGE: Mapping[str, Callable[[], Body]] = {
    "a small chat": _chat(CHAT, "words", 1),
    "2,001 messages": _chat(CHAT, "turns", 2_000),
    "20,001 messages": _chat(CHAT, "turns", 20_000),
    "20,001 messages, Anthropic": _chat(MESSAGES, "turns", 20_000),
    "20,001 messages, responses": _chat(RESPONSES, "turns", 20_000),
    "20,001 messages, Ollama": _chat(OLLAMA, "turns", 20_000),
    "20,001 messages, explained": _chat(EXPLAIN, "turns", 20_000),
    "20,001 messages, counted": _chat(COUNT, "turns", 20_000),
    "33,001 messages": _chat(CHAT, "turns", 33_000),
    "33,001 messages, Anthropic": _chat(MESSAGES, "turns", 33_000),
    "33,001 messages, responses": _chat(RESPONSES, "turns", 33_000),
    "33,001 messages, Ollama": _chat(OLLAMA, "turns", 33_000),
    "60,001 messages": _chat(CHAT, "turns", 60_000),
    "20,000 parts": _chat(CHAT, "parts", 20_000),
    "5,000 calls of tools": _chat(CHAT, "calls", 5_000),
    "128 tools": _chat(CHAT, "tools", 128),
    "1,000 tools": _chat(CHAT, "tools", 1_000),
    "1,000 tools, responses": _chat(RESPONSES, "tools", 1_000),
    "2,000 tools": _chat(CHAT, "tools", 2_000),
    "a tool of 20,000 fields": _chat(CHAT, "wide_tool", 20_000),
    "a schema of 10,000 values": _chat(CHAT, "form", 3_300),
    "a schema of 10,000 values, Ollama": _chat(OLLAMA, "form", 3_300),
    "7 MiB in a call of a tool": _chat(CHAT, "words_in_calls", 7 * _MIB // 16),
    "200 pictures": _chat(CHAT, "pictures", 4_000),
    "1,000 pictures": _chat(CHAT, "pictures", 20_000),
    "an image of 20 MB": lambda: looked_at("cloud/seeing", CHAT, _noise(5_000, 4_000)),
    "an image of 20 MB, Anthropic": lambda: looked_at("cloud/seeing", MESSAGES, _noise(5_000, 4_000)),
    "ten images to be read": lambda: looked_at("cloud/strong", CHAT, *[_noise(2_000, 2_000)] * 10),
    "5,000 pictures": _chat(CHAT, "pictures", 100_000),
    "7 MiB of words": _chat(CHAT, "words", 7 * _MIB // 16),
    "7 MiB of words, Anthropic": _chat(MESSAGES, "words", 7 * _MIB // 16),
    "7 MiB of words, responses": _chat(RESPONSES, "words", 7 * _MIB // 16),
    "7 MiB of words, Ollama": _chat(OLLAMA, "words", 7 * _MIB // 16),
    "7 MiB of words, Ollama's generate": _chat(GENERATE, "words", 7 * _MIB // 16),
    "7 MiB in one word": _chat(CHAT, "one_word", 7 * _MIB // 16),
    "7 MiB of empty lines": _chat(CHAT, "blank_lines", 7 * _MIB // 32),
    "7 MiB of Chinese": _chat(CHAT, "wide_letters", 7 * _MIB // 24),
    "7 MiB of signs": _chat(CHAT, "signs", 7 * _MIB // 18),
    "7 MiB of escapes": _chat(CHAT, "escapes", 7 * _MIB // 32),
    "7 MiB of pairs": _chat(CHAT, "pairs", 7 * _MIB // 24),
    "7 MiB of blanks": _chat(CHAT, "blanks", 7 * _MIB // 16),
    "60 MiB of words": _chat(CHAT, "words", 60 * _MIB // 16),
    "90 objects deep": _chat(CHAT, "deep", 90),
    "30,000 objects deep": _chat(CHAT, "deep", 30_000),
    "metadata of 90,000 keys": _chat(CHAT, "wide", 90_000),
    "9,000 fields": _chat(CHAT, "fields", 9_000),
    "9,000 fields, explained": _chat(EXPLAIN, "fields", 9_000),
    "a field 90,000 times": _chat(CHAT, "same_field", 90_000),
    "90,000 biases": _chat(CHAT, "biases", 90_000),
    "90,000 stop words": _chat(CHAT, "stops", 90_000),
    "a number of a million digits": _chat(CHAT, "long_number", 62_500),
    "2,048 texts to embed": lambda: texts_to_embed(20 * 2_048),
    "2,001 texts to embed, Ollama": _chat(EMBED, "turns", 2_000),
    "a form of 60 MiB": lambda: form_of_a_file(60 * _MIB // 12),
    "a form of 100,000 fields": lambda: form_of_fields(100_000),
    "an Idempotency-Key of 30,000 letters": lambda: _under_a_key(30_000),
    "a model's name of 7 MiB": _chat(CHAT, "long_model", 7 * _MIB // 16),
    "an answer of one word, 20 MiB": _from("cloud/long-word"),
    "a stream of one word, 20 MiB": _from("cloud/long-word", stream=True),
    "an answer of 10 MiB": _from("cloud/long-line"),
    "an answer of 60,000 pieces": _from("cloud/many-pieces"),
    "a stream of 60,000 pieces": _from("cloud/many-pieces", stream=True),
    "a stream of 6,000 pieces, planned": _from("cloud/some-pieces", stream=True, logprobs=True),
    "a stream in single bytes": _from("cloud/bytes-fault-split", stream=True),
}
