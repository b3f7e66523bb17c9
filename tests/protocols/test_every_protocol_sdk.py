"""The requests of every wire, held against the request types that the vendors publish with their own clients."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter
from tests.protocols.published import strictly

from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Tool
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.calls import (
    ChatCall,
    EmbeddingCall,
    ImageCall,
    SpeechCall,
    WireAudio,
    WireDocument,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireVideo,
)
from intermodal.protocols.gemini import codec as gemini_codec
from intermodal.protocols.gemini import embeddings as gemini_embeddings
from intermodal.protocols.gemini import images as gemini_images
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.ollama import embeddings as ollama_embeddings
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_media import embeddings as openai_media_embeddings
from intermodal.protocols.openai_media import images as openai_media_images
from intermodal.protocols.openai_media import speech
from intermodal.protocols.openai_responses import codec as openai_responses_codec

HOST = Host(id="h", forced_json=True)
GOOGLE = Host(id="g", protocol="gemini")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
MEDIA: dict[str, WirePart] = {
    "image": WireImage(data=b"\x89PNG", detail="low"),
    "sound": WireAudio(data=b"RIFF\0\0\0\0WAVE"),
    "film": WireVideo(data=b"film"),
    "paper": WireDocument(data=b"%PDF-", name="a.pdf"),
}
THOUGHT: dict[str, Opaque] = {
    "anthropic": Opaque(wire="anthropic", body='{"type":"redacted_thinking","data":"aGk="}'),
    "openai_responses": Opaque(
        wire="openai_responses", body='{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"aGk="}'
    ),
    "gemini": Opaque(wire="gemini", body='{"thoughtSignature":"aGk="}'),
}


def call_with(wire: str, *media: str, stream: bool) -> ChatCall:
    """A conversation with everything that the wire has words for."""
    thought = (THOUGHT[wire],) if wire in THOUGHT else ()
    said = (
        Reasoning(text="hm", signature="c2ln"), *thought, WireText(text="I look."), Refusal(text="Not that."),
        ToolCall(id="call_1", name="f", arguments='{"n":1}'), ToolCall(id="call_2", name="f", arguments="{}"),
    )  # fmt: skip
    results = (ToolResult(id="call_1", text="1"), ToolResult(id="call_2", text="no", is_error=True))
    full = wire in ("openai_chat", "gemini", "ollama")
    return ChatCall(
        model="m",
        messages=(
            WireMessage(role="system", parts=(WireText(text="be brief"),)),
            WireMessage(role="user", parts=(*(MEDIA[kind] for kind in media), WireText(text="what?"))),
            WireMessage(role="assistant", parts=said),
            WireMessage(role="tool", parts=results),
            WireMessage(role="user", parts=(WireText(text="and?"),)),
        ),
        output=JsonOutput(schema=SCHEMA),
        sampling=Sampling(
            max_tokens=9,
            temperature=0.5 if full else None,  # which Anthropic's newest client no longer has
            stop=("x",) if wire != "openai_responses" else (),
            seed=7 if full else None,
        ),
        tools=(Tool(name="f", description="d", schema=SCHEMA),),
        candidates=2 if wire != "anthropic" else 0,
        stream=stream,
        context=4096,
    )  # fmt: skip


def tree_of(wire: Any, call: ChatCall) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(wire.encode_request(call, HOST).segments))
    return tree


@cache
def published(kind: Any) -> TypeAdapter[Any]:
    return strictly(kind)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("media", [(), ("image",), ("sound",), ("paper",), ("image", "sound", "paper")])
def test_openai_s_chat(media: tuple[str, ...], stream: bool) -> None:
    from openai.types.chat import completion_create_params as params

    kind = params.CompletionCreateParamsStreaming if stream else params.CompletionCreateParamsNonStreaming
    tree = tree_of(openai_chat_codec, call_with("openai_chat", *media, stream=stream))
    published(kind).validate_python(tree)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("media", [(), ("image",), ("sound",), ("paper",), ("image", "sound", "paper")])
def test_mistral_s_chat(media: tuple[str, ...], stream: bool) -> None:
    """Its types pass over fields that they do not know, so what they make of a request must be all of it."""
    from mistralai.client import models

    (row,) = [row for row in known_hosts() if row.id == "mistral"]
    call = msgspec.structs.replace(call_with("openai_chat", *media, stream=stream), candidates=0)
    tree = json.loads(b"".join(openai_chat_codec.encode_request(call, row.host()).segments))
    kind: Any = models.ChatCompletionStreamRequest if stream else models.ChatCompletionRequest
    understood = json.loads(kind.model_validate(tree).model_dump_json(by_alias=True, exclude_none=True))
    assert lacking(tree, understood) == []


def lacking(sent: Any, understood: Any, place: str = "") -> list[str]:
    """What was sent and is not in what was understood, by its place."""
    if isinstance(sent, dict):
        found: Any = understood if isinstance(understood, dict) else {}
        return [each for name in sent for each in lacking(sent[name], found.get(name), f"{place}/{name}")]
    if isinstance(sent, list):
        rows: Any = understood if isinstance(understood, list) else [None] * len(sent)
        return [each for at, row in enumerate(sent) for each in lacking(row, rows[at], f"{place}/{at}")]
    return [] if sent == understood else [f"{place}: {sent!r:.60}, {understood!r:.60}"]


PICTURE = ImageCall(model="m", prompt="a crane", size=(1024, 1024), count=2, format="png", quality="low")


def test_openai_s_pictures_vectors_and_speech() -> None:
    from openai.types import embedding_create_params, image_generate_params
    from openai.types.audio import speech_create_params

    for tree, kind in (
        (openai_media_images.encode_request(PICTURE, HOST), image_generate_params.ImageGenerateParamsNonStreaming),
        (
            openai_media_embeddings.encode_request(EmbeddingCall(model="m", texts=("a", "b"), dimensions=8), HOST),
            embedding_create_params.EmbeddingCreateParams,
        ),
        (
            speech.encode_request(SpeechCall(model="m", text="hello", voice="alloy"), HOST),
            speech_create_params.SpeechCreateParams,
        ),
    ):
        published(kind).validate_python(json.loads(b"".join(tree.segments)))


def test_openai_s_edits_have_no_field_that_its_types_do_not_know() -> None:
    from email.parser import BytesParser

    from openai.types.image_edit_params import ImageEditParamsNonStreaming as params

    call = msgspec.structs.replace(PICTURE, images=(WireImage(data=b"\x89PNG"), WireImage(data=b"\x89PNG")), mask=b"m")
    encoded = openai_media_images.encode_request(call, msgspec.structs.replace(HOST, quirks=("image_mask",)))
    kind = dict(encoded.headers)["content-type"].encode()
    form: Any = BytesParser().parsebytes(b"content-type: " + kind + b"\r\n\r\n" + b"".join(encoded.segments))
    names = {
        str(part.get_param("name", header="content-disposition")).removesuffix("[]") for part in form.get_payload()
    }
    assert names <= set(params.__required_keys__ | params.__optional_keys__)
    assert names == {"model", "prompt", "n", "size", "quality", "output_format", "image", "mask"}


def test_google_s_pictures_and_vectors() -> None:
    from google.genai import types

    call = ImageCall(model="m", prompt="a crane", size=(1344, 768), seed=7, images=(WireImage(data=b"\x89PNG"),))
    tree = json.loads(b"".join(gemini_images.encode_request(call, GOOGLE).segments))
    (content,) = [types.Content.model_validate(content) for content in tree.pop("contents")]
    assert content.parts is not None and len(content.parts) == 2
    wish = types.GenerateContentConfig.model_validate(tree.pop("generationConfig"))
    assert wish.image_config is not None and wish.image_config.aspect_ratio == "16:9"
    assert not tree
    for texts, media in ((("a",), ()), (("a", "b"), ()), (("a",), (MEDIA["image"], MEDIA["sound"]))):
        asked = EmbeddingCall(model="m", texts=texts, dimensions=8, media=media)  # type: ignore[arg-type]
        tree = json.loads(b"".join(gemini_embeddings.encode_request(asked, GOOGLE).segments))
        for one in tree.get("requests", [tree]):
            types.Content.model_validate(one.pop("content"))
            assert one.pop("model", "models/m") == "models/m"
            types.EmbedContentConfig.model_validate(one)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("media", [(), ("image",), ("paper",), ("image", "paper")])
def test_openai_s_responses(media: tuple[str, ...], stream: bool) -> None:
    from openai.types.responses import response_create_params as params

    kind = params.ResponseCreateParamsStreaming if stream else params.ResponseCreateParamsNonStreaming
    tree = tree_of(openai_responses_codec, call_with("openai_responses", *media, stream=stream))
    published(kind).validate_python(tree)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("media", [(), ("image",), ("paper",), ("image", "paper")])
def test_anthropic_s_messages(media: tuple[str, ...], stream: bool) -> None:
    from anthropic.types import message_create_params as params

    kind = params.MessageCreateParamsStreaming if stream else params.MessageCreateParamsNonStreaming
    tree = tree_of(anthropic_codec, call_with("anthropic", *media, stream=stream))
    published(kind).validate_python(tree)


@pytest.mark.parametrize("media", [(), ("image",), ("sound",), ("film",), ("paper",), tuple(MEDIA)])
def test_google_s_contents_and_config(media: tuple[str, ...]) -> None:
    """Google's types forbid a field that they do not know."""
    from google.genai import types

    tree = tree_of(gemini_codec, call_with("gemini", *media, stream=True))
    contents = [types.Content.model_validate(content) for content in tree.pop("contents")]
    assert [content.role for content in contents] == ["user", "model", "user"]
    types.Content.model_validate(tree.pop("systemInstruction"))
    types.GenerationConfig.model_validate(tree.pop("generationConfig"))
    types.ToolConfig.model_validate(tree.pop("toolConfig"))
    for tool in tree.pop("tools"):
        types.Tool.model_validate(tool)
    assert not tree


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("media", [(), ("image",), ("sound",), ("image", "sound")])
def test_ollama_s_chat(media: tuple[str, ...], stream: bool) -> None:
    from ollama._types import ChatRequest, Options

    tree = tree_of(ollama_codec, call_with("ollama", *media, stream=stream))
    ChatRequest.model_validate(tree)
    assert tree["options"].keys() <= Options.model_fields.keys()
    # What only the server's newer versions know, and its Python client does not yet say.
    assert tree.keys() - ChatRequest.model_fields.keys() == {"truncate", "shift"}


def test_ollama_s_vectors() -> None:
    from ollama._types import EmbedRequest

    tree = json.loads(
        b"".join(ollama_embeddings.encode_request(EmbeddingCall(model="m", texts=("a", "b")), HOST).segments)
    )
    EmbedRequest.model_validate(tree)
    assert tree.keys() <= EmbedRequest.model_fields.keys()
