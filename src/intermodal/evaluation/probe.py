"""Probe an endpoint: send one small real request per capability, and learn from the replies.

A successful reply alone proves little: a server may accept an image and ignore it. The server's prompt token count is
therefore compared with that of the same text without the image; if it did not grow, the image was ignored. Requests are
made like any other: each is stored before it is sent, and none may cost more than was announced.

The media are the smallest valid ones, generated here: a PNG, one second of WAV and a one-page PDF.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from uuid import uuid4

import msgspec

from intermodal import errors
from intermodal.catalog.capability_lessons import CapabilityLesson, LessonSubject
from intermodal.catalog.model_names import resolve_name
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.client.async_client import AsyncClient
from intermodal.client.request_builder import make_request
from intermodal.core.content import Kind, ToolCall, Value
from intermodal.core.quantity import Quantity, between, exact
from intermodal.core.request import JsonOutput, Sampling, TextOutput, Tool
from intermodal.core.today import today
from intermodal.events import Event
from intermodal.executor.attempt.capability_learning import SELF_HOSTED
from intermodal.executor.attempt.ledger import RunLedger
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import StepCaller
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.codecs import chat_codec, speaks_chat
from intermodal.executor.drivers.interface import CallJob, CallResult
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.step import Call, StepEstimate
from intermodal.protocols.calls import (
    ChatCall,
    NotExpressible,
    WireAudio,
    WireDocument,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
)
from intermodal.store.rows import Work

THINGS: tuple[LessonSubject, ...] = ("text", "image", "audio", "document", "tools", "json")
ANSWER = 24  # maximum tokens of an answer
# Upper bound of the tokens of a probe's media: a 64-pixel image takes at most a few hundred, and a page may be read
# both as text and as an image.
_WEIGHS: Mapping[LessonSubject, int] = {
    "text": 60,
    "image": 3000,
    "audio": 400,
    "document": 5000,
    "tools": 900,
    "json": 400,
}
_GROWS = 2  # minimum number of tokens that an image, audio or page adds to a prompt
_MEDIA: Mapping[LessonSubject, Callable[[], WirePart]] = {
    "image": lambda: WireImage(data=sample_png()),
    "audio": lambda: WireAudio(data=sample_wav()),
    "document": lambda: WireDocument(data=sample_pdf(), name="page.pdf"),
}
_TOOL = Tool(
    name="weather", description="The weather of a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)  # fmt: skip
_SCHEMA = {
    "type": "object", "properties": {"word": {"type": "string", "maxLength": 12}}, "required": ["word"],
    "additionalProperties": False,
}  # fmt: skip
SIDE = 64  # pixels
SECONDS = 1.0
RATE = 16_000


class PlannedProbe(Value):
    """The planned requests of a probe. ``cost``: maximum USD, None if the host's price is unknown."""

    endpoint: str
    host: str
    zone: str
    asks: tuple[LessonSubject, ...]
    unsaid: tuple[LessonSubject, ...]
    cost: float | None


class ProbeResult(Value):
    """The result of one request.

    ``holds`` is None if there is no conclusion: the request failed for another reason, or the part was accepted but not
    used. ``tokens``: of the prompt, as the server counts. ``seconds``: from sending to the end.
    """

    about: LessonSubject
    holds: bool | None
    message: str = msgspec.field(default="", name="said")
    tokens: int | None = None
    seconds: float = 0.0
    cost: float | None = None


def find_endpoint(name: str, catalog: Catalog) -> Endpoint:
    """Return the only endpoint with a name. Raises UnknownModel, UsageError or NotInstalled."""
    from intermodal.planner.catalog_index import is_allowed

    word = name.strip().lower()
    found = [each for each in catalog.endpoints if word in _names(each)] or resolve_name(catalog, name)
    exact_ = [each for each in found if each.id.lower() == word]
    may_be_asked = [each for each in found if each.ready and is_allowed(each, catalog)]
    over_http = [each for each in may_be_asked if each.host.base_url and speaks_chat(each.host)]
    pool = exact_ or over_http
    if len(pool) > 1:
        raise errors.UsageError(
            f"{name} is at {len(pool)} endpoints", todo=f"say which: {', '.join(e.id for e in pool)}"
        )
    endpoint = pool[0] if pool else found[0]
    if not is_allowed(endpoint, catalog):
        what = f"there is no consent for host {endpoint.host.id}"
        raise errors.UsageError(what, where=endpoint.id, todo=f"run: intermodal hosts add {endpoint.host.id}")
    if not endpoint.ready:
        raise errors.UsageError(endpoint.missing, where=endpoint.id, todo=endpoint.todo)
    if not endpoint.host.base_url or not speaks_chat(endpoint.host):
        raise errors.UsageError("runs inside intermodal, which knows what it takes", where=endpoint.id)
    if "text-generation" not in endpoint.model.tasks:
        raise errors.UsageError("does not chat, and a probe asks in chats", where=endpoint.id)
    return endpoint


def _names(endpoint: Endpoint) -> tuple[str, ...]:
    model = endpoint.model.id.lower()
    return (endpoint.id.lower(), model, model.rpartition("/")[2], endpoint.served_as.lower(), endpoint.host.id.lower())


def plan_probes(endpoint: Endpoint, only: Sequence[LessonSubject] = ()) -> PlannedProbe:
    """Return the requests of a probe and their maximum cost. Contacts no host."""
    subjects: list[LessonSubject] = (
        [each for each in THINGS if each in only or each == "text"] if only else list(THINGS)
    )
    if not only and endpoint.host.zone in SELF_HOSTED and "document" not in endpoint.input:
        subjects.remove("document")  # no self-hosted runtime accepts PDF; it is tried only if named
    calls = {about: _call(endpoint, about) for about in subjects}
    asks: tuple[LessonSubject, ...] = tuple(
        about for about in subjects if _protocol_can_send(_accepting_everything(endpoint), calls[about])
    )
    price = endpoint.price
    cost: float | None = None
    unpriced = bool(price.unsaid) or ("audio" in asks and "audio" in price.unpriced)
    if price.input_mtok is not None and price.output_mtok is not None and not unpriced:
        rates = (price.input_mtok, price.input_image_mtok or 0.0, price.input_audio_mtok or 0.0)
        tokens = sum(_WEIGHS[about] + _WEIGHS["text"] for about in asks)
        cost = tokens * max(rates) / 1e6 + len(asks) * (ANSWER * price.output_mtok / 1e6 + price.request)
        cost += max(SECONDS, price.least_seconds) * (price.second or 0.0) if "audio" in asks else 0.0
    unsaid: tuple[LessonSubject, ...] = tuple(about for about in subjects if about not in asks)
    return PlannedProbe(
        endpoint=endpoint.id, host=endpoint.host.id, zone=endpoint.host.zone, asks=asks,
        unsaid=unsaid, cost=cost,
    )  # fmt: skip


async def probe(client: AsyncClient, endpoint: Endpoint, plan: PlannedProbe) -> AsyncGenerator[ProbeResult]:
    """Send the requests one after the other and yield each result. Conclusions are stored.

    Raises the error of the plain text request, without which no other result is meaningful; StoreError.
    """
    prepared = await client.prepare(make_request("probe"))
    dependencies = client.dependencies(prepared)
    ledger = RunLedger(dependencies.store, uuid4().hex, plan.cost if plan.cost is not None else float("inf"))

    async def unheard(event: Event) -> None:
        """Users of a probe see its results, not each event."""

    caller = StepCaller(dependencies, ledger, unheard, lambda event: None, None)
    plain: int | None = None
    for about in plan.asks:
        found = await _probe_once(caller, dependencies, endpoint, about, plain, plan)
        if about == "text":
            plain = found.tokens
        if found.holds is not None:
            day = today()
            lesson = CapabilityLesson(
                endpoint=endpoint.id, about=about, holds=found.holds, level="probed", day=day, build=endpoint.build,
                message=found.message,
            )  # fmt: skip
            client.known.save_lessons((lesson,))
        yield found


async def _probe_once(
    caller: StepCaller,
    dependencies: Dependencies,
    endpoint: Endpoint,
    about: LessonSubject,
    plain: int | None,
    plan: PlannedProbe,
) -> ProbeResult:
    began = dependencies.clock()
    share = None if plan.cost is None else plan.cost / max(1, len(plan.asks))
    estimate = StepEstimate(
        input_tokens=between(1.0, 30.0, float(_WEIGHS[about] + _WEIGHS["text"]), "a probe"),
        output_tokens=between(0.0, 8.0, float(ANSWER), "a probe"),
        cost=Quantity() if share is None else between(0.0, share / 4, share, "a probe"),
        seconds=exact(0.0, "a probe"),
    )
    step = Call(
        id=f"probe-{about}", op="generate", task="text-generation", endpoint=endpoint.id, inputs=(), estimate=estimate
    )
    job = CallJob(step=step, endpoint=_accepting_everything(endpoint), chat=_call(endpoint, about), work=Work())
    try:
        finished_call = await caller.call(job)
    except Reroute as failure:
        error: errors.IntermodalError = failure.error
    except errors.CallError as failure:
        error = failure
    else:
        holds, message = _evidence(about, finished_call.result, plain)
        return ProbeResult(
            about=about, holds=holds, message=message, tokens=finished_call.result.usage.input_tokens,
            cost=finished_call.actual.cost, seconds=round(dependencies.clock() - began, 3),
        )  # fmt: skip
    if about == "text":
        raise error
    refused = False if _is_about_the_part(error) else None
    return ProbeResult(about=about, holds=refused, message=error.what, seconds=round(dependencies.clock() - began, 3))


def _is_about_the_part(error: errors.IntermodalError) -> bool:
    """Return whether a failure is caused by the part, given that the plain text request was answered before."""
    if isinstance(error, (errors.RateLimited, errors.CredentialsRefused, errors.Overloaded)):
        return False
    if not isinstance(error, errors.CallError):
        return False
    return error.taught or isinstance(error, errors.UnsupportedModality) or 400 <= error.status < 500


def _evidence(about: LessonSubject, result: CallResult, plain: int | None) -> tuple[bool | None, str]:
    """Return what a successful reply shows, and a message; None if nothing, such as a tool accepted but not called."""
    tokens = result.usage.input_tokens
    if about in ("image", "audio", "document"):
        if tokens is None or plain is None:
            return True, "answered; it does not count, so that it was looked at is not proven"
        if tokens - plain < _GROWS:
            return False, f"answered, and left it out: {tokens:,} tokens with it, {plain:,} without"
        return True, f"counts {tokens - plain:,} tokens for it"
    if about == "tools":
        called = any(isinstance(part, ToolCall) for part in result.parts)
        return (True, "called it") if called else (None, "took it, and did not call it: whether it would is not shown")
    if about == "json":
        is_valid = _is_json(result.text)
        return is_valid, "kept to the schema" if is_valid else "answered, and not in the schema"
    return True, "answers"


def _is_json(text: str) -> bool:
    try:
        tree = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return isinstance(tree, dict) and isinstance(tree.get("word"), str)


# ---- sending ----------------------------------------------------------------------------------------


def _accepting_everything(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as if it accepted all inputs, so that they can be tried."""
    every: tuple[Kind, ...] = ("text", "image", "audio", "document")
    return msgspec.structs.replace(endpoint, input=every, host=msgspec.structs.replace(endpoint.host, forced_json=True))


def _call(endpoint: Endpoint, about: LessonSubject) -> ChatCall:
    words = "What is the weather in Basel? Use the tool." if about == "tools" else "Answer with one word: what is this?"
    parts = [*([_MEDIA[about]()] if about in _MEDIA else ()), WireText(text=words)]
    return ChatCall(
        model=endpoint.served_as or endpoint.model.id,
        messages=(WireMessage(role="user", parts=tuple(parts)),),
        output=JsonOutput(schema=_SCHEMA) if about == "json" else TextOutput(),
        sampling=Sampling(max_tokens=ANSWER, temperature=0.0),
        tools=(_TOOL,) if about == "tools" else (),
        context=4096 if endpoint.host.zone in LOCAL_ZONES else None,
    )


def _protocol_can_send(endpoint: Endpoint, call: ChatCall) -> bool:
    """Return whether the endpoint's protocol can express the call."""
    try:
        chat_codec(endpoint.host).encode_request(call, endpoint.host)
    except NotExpressible:
        return False
    return True


def sample_png() -> bytes:
    """Return a PNG of 64 by 64 pixels: a red square on white."""
    inner = range(SIDE // 4, SIDE * 3 // 4)
    rows = b"".join(
        b"\0" + b"".join(b"\xd0\x20\x20" if x in inner and y in inner else b"\xff\xff\xff" for x in range(SIDE))
        for y in range(SIDE)
    )
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def sample_wav() -> bytes:
    """Return a WAV of one second, 16 kHz, mono: a quiet tone of 440 Hz."""
    count = int(RATE * SECONDS)
    samples = b"".join(
        struct.pack("<h", round(6000 * math.sin(2 * math.pi * 440 * number / RATE))) for number in range(count)
    )
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


def sample_pdf() -> bytes:
    """Return a PDF of one page with three words."""
    text = b"BT /F1 24 Tf 30 100 Td (One small page) Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 240 160] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return body + end % (len(objects) + 1, table, len(objects) + 1, len(body))
