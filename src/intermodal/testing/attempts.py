"""Parse requests as they arrived at a fake host, without using any of ``protocols/``."""

from __future__ import annotations

import hashlib
import io
import json
import re
import wave
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from typing import Any

from intermodal.testing import images as testing_images

# The place in the body where each protocol states the schema of the answer.
_SCHEMAS = (
    ("response_format", "json_schema", "schema"),
    ("text", "format", "schema"),
    ("output_config", "format", "schema"),
    ("generationConfig", "responseJsonSchema"),
    ("format",),
)
TOKENS_PER_IMAGE = 85
TOKENS_PER_AUDIO = 50
DIMENSIONS = 8  # the length of a fake embedding


@dataclass
class Attempt:
    """One request, as it arrived.

    Attributes:
        headers: the headers, with names in lower case; the value of ``authorization`` is replaced by "(seen)".
        key: whether the request carried an API key.
        body: the bytes. json: the parsed body, None for a form. form: the fields of a form, without the file.
        texts, images, audios, videos, documents: the contents of the messages (or the form, or the input), in order.
        began, ended: milliseconds since the host started; ``ended`` is 0 while the request is being answered.
        client_left: when the client closed the connection before the end of the answer; None if it did not.
        paid: whether the host would charge for the request.
    """

    path: str
    headers: dict[str, str]
    key: bool
    body: bytes
    began: float
    json: Any = None
    form: dict[str, str] = field(default_factory=dict)
    model: str = ""
    texts: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    audios: tuple[bytes, ...] = ()
    videos: tuple[bytes, ...] = ()
    documents: tuple[bytes, ...] = ()
    fault: str = ""
    status: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    paid: bool = False
    ended: float = 0.0
    client_left: float | None = None

    @property
    def text(self) -> str:
        """Return the last text of the request: the question, if it comes last."""
        return self.texts[-1] if self.texts else ""

    @property
    def schema(self) -> dict[str, Any] | None:
        """Return the JSON schema that the answer has to follow; None if the request states none."""
        for path in _SCHEMAS:
            node = self.json
            for name in path:
                node = node.get(name) if isinstance(node, dict) else None
            if isinstance(node, dict):
                return node
        return None


Likely = Mapping[str, float] | Callable[[Attempt], Mapping[str, float]]
Answer = str | Callable[[Attempt], str]


def echo(attempt: Attempt) -> str:
    """Return the default answer: what arrived, in words, or a minimal document if the request states a schema."""
    if attempt.schema is not None:
        return json.dumps(minimal(attempt.schema))
    return f"I got {len(attempt.images)} images, {len(attempt.audios)} recordings and these words: {attempt.text}"


def minimal(schema: Mapping[str, Any]) -> Any:
    """Return the smallest value that fits a simple schema, one without conditions and references."""
    if "const" in schema or "enum" in schema:
        return schema.get("const", next(iter(schema.get("enum", [None]))))
    if "anyOf" in schema:
        return minimal(schema["anyOf"][0])
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: minimal(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [minimal(schema.get("items", {}))] * int(schema.get("minItems", 0))
    return {"string": "fake", "integer": 1, "number": 1.5, "boolean": True, "null": None}[kind]


def understand(attempt: Attempt) -> None:
    """Fill in what the body contains. Raises ValueError, KeyError or TypeError for a body that cannot be parsed."""
    kind = attempt.headers.get("content-type", "")
    if kind.startswith("multipart/form-data"):
        _understand_form(attempt, kind)
    else:
        attempt.json = json.loads(attempt.body)
        attempt.model = attempt.json["model"] if "texts" not in attempt.json else "the one it serves"
        if attempt.path.endswith("/audio/speech"):
            attempt.texts = (attempt.json["input"],)
        elif attempt.path.endswith("/images/generations"):
            attempt.texts = (attempt.json["prompt"],)
        elif attempt.path.endswith("/rerank"):
            texts = attempt.json["documents"] if "documents" in attempt.json else attempt.json["texts"]
            attempt.texts = (attempt.json["query"], *texts)
        elif "input" in attempt.json:
            texts = attempt.json["input"]
            attempt.texts = (texts,) if isinstance(texts, str) else tuple(texts)
        else:
            _understand_messages(attempt)
    words = sum(len(re.findall(r"\S+", text)) for text in attempt.texts)
    each = testing_images.TOKENS if "/images/" in attempt.path else TOKENS_PER_IMAGE
    attempt.input_tokens = words + each * len(attempt.images) + TOKENS_PER_AUDIO * len(attempt.audios)


def _understand_messages(attempt: Attempt) -> None:
    texts: list[str] = []
    images: list[bytes] = []
    audios: list[bytes] = []
    videos: list[bytes] = []
    documents: list[bytes] = []
    for message in attempt.json["messages"]:
        content = message["content"] or ""  # the content is null in messages with tool calls
        parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] == "text":
                texts.append(part["text"])
            elif part["type"] == "image_url":
                found = re.fullmatch(r"data:image/[a-z]+;base64,(.*)", part["image_url"]["url"], re.DOTALL)
                if found is None:
                    raise ValueError("only data URIs")
                images.append(b64decode(found[1], validate=True))
            elif part["type"] == "input_audio":
                audios.append(b64decode(part["input_audio"]["data"], validate=True))
            elif part["type"] == "input_video":
                videos.append(b64decode(part["input_video"]["data"], validate=True))
            elif part["type"] == "file":
                kind, _, data = part["file"]["file_data"].partition(";base64,")
                if kind != "data:application/pdf" or not part["file"]["filename"]:
                    raise ValueError("only PDF files in data URIs, with a name")
                documents.append(b64decode(data, validate=True))
            else:
                raise ValueError(part["type"])
    attempt.texts, attempt.images, attempt.audios = tuple(texts), tuple(images), tuple(audios)
    attempt.videos, attempt.documents = tuple(videos), tuple(documents)


def _understand_form(attempt: Attempt, kind: str) -> None:
    form = BytesParser().parsebytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + attempt.body)
    parts = form.get_payload()
    for part in parts if isinstance(parts, list) else ():
        data = part.get_payload(decode=True) if isinstance(part, Message) else None
        if not isinstance(part, Message) or not isinstance(data, bytes):
            raise ValueError("not a form")
        if part.get_filename():
            of_images = part.get_content_maintype() == "image"
            attempt.images, attempt.audios = (
                ((*attempt.images, data), attempt.audios) if of_images else (attempt.images, (data,))
            )
        else:
            attempt.form[str(part.get_param("name", header="content-disposition"))] = data.decode()
    attempt.model = attempt.form["model"]
    if attempt.path.endswith("/images/edits"):
        attempt.texts = (attempt.form["prompt"],)


def vector_of(text: str) -> list[float]:
    """Return a vector of length 1 that is always the same for the same text."""
    digest = hashlib.sha256(text.encode()).digest()[:DIMENSIONS]
    numbers = [byte - 127.5 for byte in digest]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def duration(audio: bytes) -> float:
    """Return the duration of a WAV file in seconds; 1 for anything else."""
    try:
        with wave.open(io.BytesIO(audio)) as file:
            return float(file.getnframes() / file.getframerate())
    except (wave.Error, EOFError):
        return 1.0
