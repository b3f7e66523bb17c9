"""Endpoints for embeddings, speech, transcriptions and images. Each request is planned and run like any other."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from intermodal import errors
from intermodal.catalog.shipped_rows import shipped_families
from intermodal.client.request_builder import check_output
from intermodal.concurrency.offload import LONG, offload
from intermodal.config.config_file import Config
from intermodal.core.content import Audio, BytesSource, File, Image, Part, Text, Transcript
from intermodal.core.request import (
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
from intermodal.events import Finished, StepFinished
from intermodal.gateway import response_metadata
from intermodal.gateway.endpoints.models import JSON_HEADERS
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.requests.body_limits import decode_body
from intermodal.gateway.requests.multipart import MultipartForm, parse_multipart
from intermodal.gateway.requests.request_policy import (
    apply_overrides,
    body_fields,
    check_field_allowed,
    check_model_allowed,
    policy_for_model,
    policy_overrides,
)
from intermodal.gateway.runs import plan_request, run_plan
from intermodal.local.tokenizers import byte_pair
from intermodal.protocols.calls import ImageCall
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.ollama.server import read_embed, write_embed
from intermodal.protocols.openai_media import server as wire

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext


# Decodes texts that a client sends as token ids.
#
# Token ids have no meaning without their vocabulary, which a request does not name. Clients that send ids (LangChain's
# embeddings) use the vocabulary of the requested model if its name is one of OpenAI's, and guess for others.


MAX_TOKEN_VALUES = 400_000  # values in such a body: OpenAI accepts 300,000 tokens a request
_INSTEAD = "send texts (in LangChain: check_embedding_ctx_length=False)"


async def _decode_token_ids(tokens: tuple[tuple[int, ...], ...], model: str, config: Config) -> tuple[str, ...]:
    """Return the decoded texts. ``model``: the requested name. Raises RequestRefused if the vocabulary is unknown."""
    name = _encoding(model, config)
    if not name:
        what = f"the input is token ids of an unknown vocabulary: {model} is not a name of OpenAI's"
        raise RequestRefused(what, status=400, todo=f"{_INSTEAD}, or let the server's config serve one of these names")
    return await asyncio.to_thread(_decode_tokens, name, tokens)


def _encoding(model: str, config: Config) -> str:
    """Return the vocabulary of the requested name, else of the model that the name is an alias for; "" if unknown."""
    for name in (model, config.serve.aliases.get(model, "")):
        found = shipped_families().newest(name, "text") if name else ""
        if found in byte_pair.ENCODINGS:
            return found
    return ""


def _decode_tokens(name: str, tokens: tuple[tuple[int, ...], ...]) -> tuple[str, ...]:
    encoding = byte_pair.load_encoding(name)
    if encoding is None:
        what = f"the input is in tokens, and the server has no vocabulary of {name}"
        raise RequestRefused(what, status=400, todo=f"{_INSTEAD}, or have intermodal[tokenizers] installed there")
    try:
        return tuple(map(encoding.decode, tokens))
    except KeyError as error:
        raise RequestRefused(f"{error.args[0]} is no token of {name}", status=400, todo=_INSTEAD) from None


# Request fields that each endpoint understands. Others are named in a header of the answer.
_COMMON = frozenset({"model", "intermodal", "user"})
EMBEDDINGS_FIELDS = _COMMON | {"input", "encoding_format", "dimensions"}
EMBED_FIELDS = _COMMON | {"input", "truncate", "dimensions"}
SPEECH_FIELDS = _COMMON | {"input", "voice", "response_format", "speed", "stream_format"}
IMAGES_FIELDS = _COMMON | {
    "prompt", "n", "size", "quality", "output_format", "response_format", "seed", "steps", "guidance", "sampler",
    "negative_prompt", "stream",
}  # fmt: skip
EDITS_FIELDS = IMAGES_FIELDS | {"image", "image[]", "mask", "strength"}
TRANSCRIPTION_FIELDS = _COMMON | {"file", "language", "response_format", "timestamp_granularities[]", "stream"}
TRANSLATION_FIELDS = TRANSCRIPTION_FIELDS - {"language"}
_MAX_CONCURRENT_TEXTS = 4  # texts of one request that are embedded concurrently


class RunResult(NamedTuple):
    """The result of a run. ``tokens``: input and output, as far as reported; ``head``: headers of the response."""

    finished: Finished
    tokens: tuple[int, int]
    about: dict[str, Any]
    head: dict[str, str]


async def _run_media_request(
    context: GatewayContext, request: GatewayRequest, run_request: Request, ignored: tuple[str, ...] = ()
) -> RunResult:
    prepared, plan = await plan_request(context, run_request, request.owner)
    metadata = response_metadata.RunMetadata(plan)
    took = [0, 0]
    finished: Finished | None = None
    async with run_plan(context, prepared, plan, request) as happening:
        async for event in happening:
            metadata.record_event(event)
            if isinstance(event, StepFinished):
                took[0] += event.actual.usage.input_tokens or 0
                took[1] += event.actual.usage.output_tokens or 0
            elif isinstance(event, Finished):
                finished = event
    assert finished is not None
    head = metadata.headers(finished, ignored)
    return RunResult(finished, (took[0], took[1]), metadata.about(finished), head)


def _request(parts: tuple[Part, ...], output: Output, policy: Policy, sampling: Sampling | None = None) -> Request:
    return Request(
        messages=(Message(role="user", parts=parts),), output=output, policy=policy, sampling=sampling or Sampling()
    )


async def policy_of(context: GatewayContext, request: GatewayRequest, model: str, fields: Mapping[str, Raw]) -> Policy:
    """Return the policy for this model, tightened by the request's headers and fields. Raises RequestRefused."""
    request.served.model = model
    await check_model_allowed(request.key, model, context.client)
    return apply_overrides(policy_for_model(model, context.client), policy_overrides(request.head.headers, fields))


def unknown_fields(fields: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    """Return the fields that are not understood, each once."""
    return tuple(dict.fromkeys(name for name in fields if name not in known))


async def create_embeddings(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/embeddings``."""
    fields = await body_fields(request, context.limits, MAX_TOKEN_VALUES)
    embedding_request = await decode_body(wire.read_embedding_request, request.body)
    embedded = await _embed_texts(context, request, fields, embedding_request, EMBEDDINGS_FIELDS)
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens, "intermodal": embedded.about}
    many = len(embedded.vectors) > 1
    body = await offload(
        many, wire.write_embeddings, embedded.vectors, embedding_request.call.model, embedding_request.encoding, usage
    )
    await reply.send(200, body, {**JSON_HEADERS, **embedded.head})


async def ollama_embed(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /api/embed``. A text that is too long is an error, as with Ollama's ``truncate: false``."""
    fields = await body_fields(request, context.limits)
    embedding_request = await decode_body(read_embed, request.body)
    known = EMBED_FIELDS if bytes(fields.get("truncate", b"")) == b"false" else EMBED_FIELDS - {"truncate"}
    embedded = await _embed_texts(context, request, fields, embedding_request, known)
    many = len(embedded.vectors) > 1
    body = await offload(
        many, write_embed, embedded.vectors, embedding_request.call.model, embedded.tokens, embedded.about
    )
    await reply.send(200, body, {**JSON_HEADERS, **embedded.head})


class EmbeddingResponse(NamedTuple):
    """Vectors of several texts in input order, with metadata as in ``RunResult``. ``tokens``: input tokens."""

    vectors: Sequence[Sequence[float]]
    tokens: int
    about: dict[str, Any]
    head: dict[str, str]


async def _embed_texts(
    context: GatewayContext,
    request: GatewayRequest,
    fields: Mapping[str, Raw],
    embedding_request: wire.EmbeddingRequest,
    known: frozenset[str],
) -> EmbeddingResponse:
    """Embed several texts concurrently, each as its own request."""
    call = embedding_request.call
    policy = await policy_of(context, request, call.model, fields)
    if embedding_request.tokens:
        call = replace(call, texts=await _decode_token_ids(embedding_request.tokens, call.model, context.client.config))
    if empty := [f"input[{place}]" for place, text in enumerate(call.texts) if not text.strip()]:
        raise RequestRefused(f"{', '.join(empty[:10])} holds no text to embed", status=400, todo="leave it out")
    ignored = unknown_fields(fields, known)
    room = asyncio.Semaphore(_MAX_CONCURRENT_TEXTS)

    async def one(text: str) -> RunResult:
        async with room:
            return await _run_media_request(
                context, request, _request((Text(text=text),), EmbeddingOutput(), policy), ignored
            )

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(text)) for text in call.texts]
    except BaseExceptionGroup as failed:
        raise errors.first_error(failed) from None
    run_results = [task.result() for task in tasks]
    if len({len(each.finished.embedding) for each in run_results}) != 1:
        raise errors.CallError("the texts got vectors of several lengths", todo="name one model")
    about = _merge_metadata(run_results)
    head = {**run_results[0].head, "x-intermodal-attempts": str(about["attempts"])}
    head["x-intermodal-sends"] = response_metadata.host_names(about["sends"])
    if about["cost"] is not None:
        head["x-intermodal-cost"] = f"{about['cost']:.8g}"
    vectors = [each.finished.embedding for each in run_results]
    return EmbeddingResponse(vectors, sum(each.tokens[0] for each in run_results), about, head)


def _merge_metadata(run_results: list[RunResult]) -> dict[str, Any]:
    """Return the metadata of several runs: summed costs and attempts, and the route of the first run."""
    costs = [each.finished.cost for each in run_results]
    cost = None if None in costs else sum(cost or 0.0 for cost in costs)
    attempts = sum(each.about["attempts"] for each in run_results)
    notes = list(dict.fromkeys(note for each in run_results for note in each.about["notes"]))
    about = {**run_results[0].about, "cost": cost, "attempts": attempts, "notes": notes}
    return about | {"sends": _hosts_of(run_results)}


def _hosts_of(run_results: list[RunResult]) -> list[dict[str, str]]:
    """Return the transfers of the first run, and those of the other runs to further hosts."""
    sends: list[dict[str, str]] = list(run_results[0].about["sends"])
    for each in run_results[1:]:
        host_ids = {send["host"] for send in sends}
        sends += [send for send in each.about["sends"] if send["host"] not in host_ids]
    return sends


async def create_speech(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/audio/speech``: speaks the given text; no language model answers it. The response is a file."""
    fields = await body_fields(request, context.limits)
    call = await decode_body(wire.read_speech_request, request.body)
    policy = await policy_of(context, request, call.model, fields)
    output = SpeechOutput(format=call.format, voice=call.voice, verbatim=True)
    run_request = _request((Text(text=call.text),), output, policy)
    run_result = await _run_media_request(context, request, run_request, unknown_fields(fields, SPEECH_FIELDS))
    if run_result.finished.speech is None:
        raise errors.CallError("made no sound", where=run_result.finished.endpoint, todo="ask another model")
    spoken = run_result.finished.speech
    await reply.send(200, spoken.data, {"content-type": spoken.media_type, **run_result.head})


async def create_images(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/images/generations``."""
    fields = await body_fields(request, context.limits)
    call = await decode_body(wire.read_image_request, request.body)
    policy = await policy_of(context, request, call.model, fields)
    await _draw(context, request, reply, _DrawingRequest(call, policy, ignored=unknown_fields(fields, IMAGES_FIELDS)))


async def create_image_edits(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/images/edits``: a form with one or more images, a prompt, and optionally a mask of a single image.

    The image may change where the mask is transparent or white.
    """
    form = await _form(request, EDITS_FIELDS)
    call = wire.read_edit_form(dict(form.fields))
    image_files = [form.files["image"]] if "image" in form.files else []
    image_files += [file for name, file in form.listed if name == "image[]"]
    files = (*form.files, *(name for name, _ in form.listed))
    if not image_files:
        sent_as = "as a file" if {"image", "image[]"}.intersection(form.names) else "in the field image"
        raise RequestRefused(f"the form needs an image {sent_as}", status=400)
    policy = await policy_of(context, request, call.model, _override_fields(form))
    parts = [Image(source=BytesSource(data=data, name=_base_name(name))) for name, data in image_files]
    if mask := form.files.get("mask"):
        if len(parts) > 1:
            raise RequestRefused("a mask is of one image, and the form has several", status=400, todo="send one")
        parts.append(Image(source=BytesSource(data=mask[1], name=_base_name(mask[0]) or "mask")))
    ignored = _unknown_form_fields((*form.names, *files), EDITS_FIELDS)
    await _draw(context, request, reply, _DrawingRequest(call, policy, tuple(parts), mask=bool(mask), ignored=ignored))


class _DrawingRequest(NamedTuple):
    """A drawing request.

    ``parts``: images to start from, the last one being the mask if ``mask`` is set. ``ignored``: fields that are not
    understood.
    """

    call: ImageCall
    policy: Policy
    parts: tuple[Part, ...] = ()
    mask: bool = False
    ignored: tuple[str, ...] = ()


async def _draw(
    context: GatewayContext, request: GatewayRequest, reply: ResponseWriter, drawing_request: _DrawingRequest
) -> None:
    call = drawing_request.call
    output = ImageOutput(
        size=call.size, count=call.count, steps=call.steps, guidance=call.guidance, sampler=call.sampler,  # type: ignore[arg-type]
        negative=call.negative, strength=call.strength, mask=drawing_request.mask,
        quality=call.quality, format=call.format,
    )  # fmt: skip
    check_output(output, call.seed)
    run_request = _request(
        (Text(text=call.prompt), *drawing_request.parts), output, drawing_request.policy, Sampling(seed=call.seed)
    )
    run_result = await _run_media_request(context, request, run_request, drawing_request.ignored)
    input_tokens, out = run_result.tokens
    usage = {
        "input_tokens": input_tokens,
        "output_tokens": out,
        "total_tokens": input_tokens + out,
        "intermodal": run_result.about,
    }
    files = [(image.data, image.prompt) for image in run_result.finished.images]
    await reply.send(200, wire.write_images(files, int(time.time()), usage), {**JSON_HEADERS, **run_result.head})


async def create_transcription(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/audio/transcriptions``: a form with a recording or a video."""
    await _transcribe(context, request, reply, TRANSCRIPTION_FIELDS)


async def create_translation(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``POST /v1/audio/translations``: a transcript in English, whatever language is spoken.

    The model name or the plan decides whether a speech model translates, or a language model translates the transcript.
    """
    await _transcribe(context, request, reply, TRANSLATION_FIELDS, into="en")


async def _transcribe(
    context: GatewayContext, request: GatewayRequest, reply: ResponseWriter, takes: frozenset[str], into: str = ""
) -> None:
    form = await _form(request, TRANSCRIPTION_FIELDS)
    _check_transcription(form)
    response_format, model = form.field("response_format", "json"), form.field("model")
    if "file" not in form.files or not model:
        raise RequestRefused("the form needs the fields file and model", status=400)
    if response_format not in wire.TRANSCRIPT_FORMATS:
        formats_text = ", ".join(wire.TRANSCRIPT_FORMATS)
        raise RequestRefused(f"response_format is none of {formats_text}: {response_format[:40]!r}", status=400)
    policy = await policy_of(context, request, model, _override_fields(form))
    language = form.field("language") if "language" in takes else ""
    policy = replace(policy, language=language or policy.language, translate=into)
    name, data = form.files["file"]
    source = BytesSource(data=data, name=_base_name(name))
    part: Part = File(source=source) if _is_film(data) else Audio(source=source)
    ignored = _unknown_form_fields(form.names, takes)
    run_result = await _run_media_request(context, request, _request((part,), TranscriptOutput(), policy), ignored)
    transcript = run_result.finished.transcript or Transcript()
    usage = {"type": "duration", "seconds": round(transcript.seconds), "intermodal": run_result.about}
    kind, body = wire.write_transcript(transcript, response_format, usage)
    await reply.send(200, body, {"content-type": kind, **run_result.head})


async def _form(request: GatewayRequest, known: frozenset[str]) -> MultipartForm:
    """Parse the form in a body.

    Raises RequestRefused for a field that no request may set, or a known one that is sent twice.
    """
    kind = request.head.headers.get("content-type", "")
    form = await offload(len(request.body) > LONG, parse_multipart, kind, request.body)
    for name, count in Counter(form.names).items():
        check_field_allowed(name)
        if count > 1 and (name in known or name.startswith(_OVERRIDE_PREFIX)) and not name.endswith("[]"):
            raise RequestRefused(f"the form has {name} {count} times", status=400, todo="send it once")
    return form


_OVERRIDE_PREFIX = "intermodal["
_OVERRIDE_FIELD = re.compile(r"intermodal\[(\w+)\](\[\d*\])?")


def _override_fields(form: MultipartForm) -> Mapping[str, Raw]:
    """Return the field ``intermodal`` of a form as that of a JSON body.

    It is a JSON object in one field, or a field for each of its keys, as OpenAI's clients write ``extra_body``:
    ``intermodal[farthest]``, and ``intermodal[private][]`` for each item of a list.
    """
    values: dict[str, Any] = {}
    for name, value in form.fields:
        if not name.startswith(_OVERRIDE_PREFIX):
            continue
        found = _OVERRIDE_FIELD.fullmatch(name)
        if found is None:
            raise RequestRefused(f"the form has a field {name[:80]!r}", status=400, todo="write intermodal[max_cost]")
        key, is_item = found[1], found[2] is not None
        if is_item != isinstance(values.get(key, [] if is_item else None), list):
            raise RequestRefused(f"the form has intermodal[{key[:80]}] as a value and as a list", status=400)
        values[key] = [*values.get(key, ()), value] if is_item else value
    if "intermodal" not in form.names:
        return {"intermodal": Raw(msgspec.json.encode(values))} if values else {}
    if values:
        what = "the form has intermodal as one field and as several"
        raise RequestRefused(what, status=400, todo="send it in one way")
    return {"intermodal": Raw(form.field("intermodal").encode())}


def _unknown_form_fields(names: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    return unknown_fields((name for name in names if not name.startswith(_OVERRIDE_PREFIX)), known)


def _base_name(name: str) -> str:
    """Return the name of a file without its folders."""
    return name.rpartition("/")[2][:200]


def _check_transcription(form: MultipartForm) -> None:
    """Raise RequestRefused for field values that cannot be honoured."""
    if form.field("stream", "false").lower() not in ("false", ""):
        raise RequestRefused("stream: a transcript comes whole here", status=400, todo="leave stream out")
    if ("timestamp_granularities[]", "word") in form.fields:
        todo = 'ask for "segment", with the response_format verbose_json'
        raise RequestRefused('timestamp_granularities "word": times are of segments here', status=400, todo=todo)


def _is_film(data: bytes) -> bool:
    """Return True if the first bytes are of a container that may hold video. The media worker determines the type."""
    return data[4:8] == b"ftyp" or data[:4] == b"\x1aE\xdf\xa3" or data[8:12] == b"AVI "
