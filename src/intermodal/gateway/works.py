"""Doors that make one thing of another: vectors, speech, transcripts, pictures. Each is a request like any other."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Raw
from msgspec.structs import replace

from intermodal import errors
from intermodal.concurrency.offload import LONG, offload
from intermodal.content import Audio, BytesSource, File, Part, Text, Transcript
from intermodal.events import Finished, StepFinished
from intermodal.gateway import tokens, told
from intermodal.gateway.chats import ended
from intermodal.gateway.counted import read_large
from intermodal.gateway.forms import Form, form_of
from intermodal.gateway.listing import JSON
from intermodal.gateway.messages import Asked
from intermodal.gateway.naming import NEVER, allowed, fields_of, policy_of, tightened, wishes_of
from intermodal.gateway.reply import Reply
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.ollama.server_embeddings import read_embed, write_embed
from intermodal.protocols.openai_media import server as wire
from intermodal.request import (
    EmbeddingOutput,
    ImageOutput,
    Message,
    Output,
    Policy,
    Request,
    Sampling,
    SpeechOutput,
    TranscriptOutput,
)
from intermodal.request_builder import check_output

if TYPE_CHECKING:
    from intermodal.gateway.serving import Gateway

# Fields of a request that are understood, door by door. Others are named in a header of the answer.
_COMMON = frozenset({"model", "intermodal", "user"})
EMBEDDINGS = _COMMON | {"input", "encoding_format", "dimensions"}
EMBED = _COMMON | {"input", "truncate", "dimensions"}
SPEECH = _COMMON | {"input", "voice", "response_format", "speed", "stream_format"}
PICTURES = _COMMON | {
    "prompt", "n", "size", "quality", "output_format", "response_format", "seed", "steps", "guidance", "sampler",
    "negative_prompt", "stream",
}  # fmt: skip
TRANSCRIPTIONS = frozenset({
    "file", "model", "language", "response_format", "timestamp_granularities[]", "stream", "user",
})  # fmt: skip
TRANSLATIONS = TRANSCRIPTIONS - {"language"}
AT_ONCE = 4  # texts of one request that are embedded at the same time


class Made(NamedTuple):
    """What a run made. ``tokens`` in and out, as far as they were told; ``head`` for the answer."""

    finished: Finished
    tokens: tuple[int, int]
    about: dict[str, Any]
    head: dict[str, str]


async def _make(gateway: Gateway, asked: Asked, request: Request, ignored: tuple[str, ...] = ()) -> Made:
    prepared, plan = await gateway.planned(request, asked.owner)
    said = told.Told(plan)
    took = [0, 0]
    finished: Finished | None = None
    async with gateway.running(prepared, plan, asked) as happening:
        async for event in happening:
            said.feed(event)
            if isinstance(event, StepFinished):
                took[0] += event.actual.usage.input_tokens or 0
                took[1] += event.actual.usage.output_tokens or 0
            elif isinstance(event, Finished):
                finished = event
    assert finished is not None
    more = ended(said, finished)
    head = told.headers_of(plan, route=more.pop("route"), ignored=ignored, now=said.now)
    return Made(finished, (took[0], took[1]), said.about(finished), {**head, **more})


def _request(parts: tuple[Part, ...], output: Output, policy: Policy, sampling: Sampling | None = None) -> Request:
    return Request(
        messages=(Message(role="user", parts=parts),), output=output, policy=policy, sampling=sampling or Sampling()
    )


def _policy(gateway: Gateway, asked: Asked, model: str, fields: Mapping[str, Raw]) -> Policy:
    asked.served.model = model
    allowed(asked.key, model, gateway.client)
    return tightened(policy_of(model, gateway.client), wishes_of(asked.head.headers, fields))


def _unknown(fields: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in fields if name not in known))


async def embeddings(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/embeddings``."""
    fields = await fields_of(asked, gateway.limits, tokens.MOST)
    wanted = await read_large(wire.read_embedding_request, asked.body)
    made = await _embedded(gateway, asked, fields, wanted, EMBEDDINGS)
    usage = {"prompt_tokens": made.tokens, "total_tokens": made.tokens, "intermodal": made.about}
    many = len(made.vectors) > 1
    body = await offload(many, wire.write_embeddings, made.vectors, wanted.call.model, wanted.encoding, usage)
    await reply.send(200, body, {**JSON, **made.head})


async def embed(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /api/embed``: Ollama's. A text that is too long is an error here, as with ``truncate: false`` there."""
    fields = await fields_of(asked, gateway.limits)
    wanted = await read_large(read_embed, asked.body)
    known = EMBED if bytes(fields.get("truncate", b"")) == b"false" else EMBED - {"truncate"}
    made = await _embedded(gateway, asked, fields, wanted, known)
    many = len(made.vectors) > 1
    body = await offload(many, write_embed, made.vectors, wanted.call.model, made.tokens, made.about)
    await reply.send(200, body, {**JSON, **made.head})


class Embedded(NamedTuple):
    """The vectors of several texts, in their order; the rest as in ``Made``, of all of them. ``tokens`` went in."""

    vectors: Sequence[Sequence[float]]
    tokens: int
    about: dict[str, Any]
    head: dict[str, str]


async def _embedded(
    gateway: Gateway, asked: Asked, fields: Mapping[str, Raw], wanted: wire.EmbeddingRequest, known: frozenset[str]
) -> Embedded:
    """Embed texts, each as a request of its own, several at once."""
    call = wanted.call
    policy = _policy(gateway, asked, call.model, fields)
    if wanted.tokens:
        call = replace(call, texts=await tokens.texts_of(wanted.tokens, call.model, gateway.client.config))
    if empty := [f"input[{place}]" for place, text in enumerate(call.texts) if not text.strip()]:
        raise RequestRefused(f"{', '.join(empty[:10])} holds no text to embed", status=400, todo="leave it out")
    ignored = _unknown(fields, known)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(text: str) -> Made:
        async with room:
            return await _make(gateway, asked, _request((Text(text=text),), EmbeddingOutput(), policy), ignored)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(text)) for text in call.texts]
    except BaseExceptionGroup as failed:
        raise _first(failed) from None
    made = [task.result() for task in tasks]
    if len({len(each.finished.embedding) for each in made}) != 1:
        raise errors.CallError("the texts got vectors of several lengths", todo="name one model")
    about = _together(made)
    head = {**made[0].head, "x-intermodal-attempts": str(about["attempts"])}
    head["x-intermodal-sends"] = told.hosts(about["sends"])
    if about["cost"] is not None:
        head["x-intermodal-cost"] = f"{about['cost']:.8g}"
    vectors = [each.finished.embedding for each in made]
    return Embedded(vectors, sum(each.tokens[0] for each in made), about, head)


def _together(made: list[Made]) -> dict[str, Any]:
    """What is told of several runs: sums, and what the first says of the route."""
    costs = [each.finished.cost for each in made]
    cost = None if None in costs else sum(cost or 0.0 for cost in costs)
    attempts = sum(each.about["attempts"] for each in made)
    notes = list(dict.fromkeys(note for each in made for note in each.about["notes"]))
    about = {**made[0].about, "cost": cost, "attempts": attempts, "notes": notes}
    return about | {"sends": _hosts_of(made)}


def _hosts_of(made: list[Made]) -> list[dict[str, str]]:
    """What the first sent, and what others did to hosts that it does not name."""
    sends: list[dict[str, str]] = list(made[0].about["sends"])
    for each in made[1:]:
        named = {send["host"] for send in sends}
        sends += [send for send in each.about["sends"] if send["host"] not in named]
    return sends


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def speech(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/audio/speech``: the text itself is spoken, nobody answers it. The answer is a file."""
    fields = await fields_of(asked, gateway.limits)
    call = await read_large(wire.read_speech_request, asked.body)
    policy = _policy(gateway, asked, call.model, fields)
    output = SpeechOutput(format=call.format, voice=call.voice, verbatim=True)
    request = _request((Text(text=call.text),), output, policy)
    made = await _make(gateway, asked, request, _unknown(fields, SPEECH))
    if made.finished.speech is None:
        raise errors.CallError("made no sound", where=made.finished.endpoint, todo="ask another model")
    spoken = made.finished.speech
    await reply.send(200, spoken.data, {"content-type": spoken.media_type, **made.head})


async def pictures(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/images/generations``."""
    fields = await fields_of(asked, gateway.limits)
    call = await read_large(wire.read_image_request, asked.body)
    policy = _policy(gateway, asked, call.model, fields)
    output = ImageOutput(
        size=call.size, count=call.count, steps=call.steps, guidance=call.guidance, sampler=call.sampler,  # type: ignore[arg-type]
        negative=call.negative, quality=call.quality, format=call.format,
    )  # fmt: skip
    check_output(output, call.seed)
    request = _request((Text(text=call.prompt),), output, policy, Sampling(seed=call.seed))
    made = await _make(gateway, asked, request, _unknown(fields, PICTURES))
    given, out = made.tokens
    usage = {"input_tokens": given, "output_tokens": out, "total_tokens": given + out, "intermodal": made.about}
    files = [(drawn.data, drawn.prompt) for drawn in made.finished.images]
    await reply.send(200, wire.write_images(files, int(time.time()), usage), {**JSON, **made.head})


async def transcriptions(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/audio/transcriptions``: a form with a recording, or a film."""
    await _heard(gateway, asked, reply, TRANSCRIPTIONS)


async def translations(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``POST /v1/audio/translations``: the same in English, whatever is spoken. By an ear that translates or a model
    that does so from its transcript, as the name says or the plan chooses."""
    await _heard(gateway, asked, reply, TRANSLATIONS, into="en")


async def _heard(gateway: Gateway, asked: Asked, reply: Reply, takes: frozenset[str], into: str = "") -> None:
    kind = asked.head.headers.get("content-type", "")
    form = await offload(len(asked.body) > LONG, form_of, kind, asked.body)
    _check(form)
    wanted, model = form.field("response_format", "json"), form.field("model")
    if "file" not in form.files or not model:
        raise RequestRefused("the form needs the fields file and model", status=400)
    if wanted not in wire.TRANSCRIPT_FORMATS:
        there = ", ".join(wire.TRANSCRIPT_FORMATS)
        raise RequestRefused(f"response_format is none of {there}: {wanted[:40]!r}", status=400)
    policy = _policy(gateway, asked, model, {})
    language = form.field("language") if "language" in takes else ""
    policy = replace(policy, language=language or policy.language, translate=into)
    name, data = form.files["file"]
    source = BytesSource(data=data, name=name.rpartition("/")[2][:200])
    part: Part = File(source=source) if _is_film(data) else Audio(source=source)
    ignored = _unknown((name for name, _ in form.fields), takes)
    made = await _make(gateway, asked, _request((part,), TranscriptOutput(), policy), ignored)
    transcript = made.finished.transcript or Transcript()
    usage = {"type": "duration", "seconds": round(transcript.seconds), "intermodal": made.about}
    kind, body = wire.write_transcript(transcript, wanted, usage)
    await reply.send(200, body, {"content-type": kind, **made.head})


def _check(form: Form) -> None:
    """Raises Refused for what cannot be given, or is said twice."""
    for name, count in Counter(name for name, _ in form.fields).items():
        if name in NEVER:
            raise RequestRefused(
                f"a request may not set {name}", status=400, todo="the server's config says where calls go"
            )
        if count > 1 and name in TRANSCRIPTIONS and not name.endswith("[]"):
            raise RequestRefused(f"the form has {name} {count} times", status=400, todo="send it once")
    if form.field("stream", "false").lower() not in ("false", ""):
        raise RequestRefused("stream: a transcript comes whole here", status=400, todo="leave stream out")
    if ("timestamp_granularities[]", "word") in form.fields:
        todo = 'ask for "segment", with the response_format verbose_json'
        raise RequestRefused('timestamp_granularities "word": times are of segments here', status=400, todo=todo)


def _is_film(data: bytes) -> bool:
    """By its first bytes: what may hold pictures too goes as what it turns out to be."""
    return data[4:8] == b"ftyp" or data[:4] == b"\x1aE\xdf\xa3" or data[8:12] == b"AVI "
