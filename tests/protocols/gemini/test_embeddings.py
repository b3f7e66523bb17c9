"""Google's vectors of media. The referees are the types of Google's published client."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st
from tests.protocols.calls import BYTES, TEXTS

from intermodal.catalog.types import Host
from intermodal.protocols.calls import (
    EmbeddingCall,
    NotExpressible,
    WireAudio,
    WireDocument,
    WireImage,
    WireMedia,
    WireVideo,
)
from intermodal.protocols.gemini.embeddings import IMAGE_TYPES, VIDEO_TYPES, decode_reply, encode_request
from intermodal.protocols.ollama import embeddings as ollama_embeddings
from intermodal.protocols.openai_media import embeddings as openai_media_embeddings

HOST = Host(id="h")
MEDIA: st.SearchStrategy[WireMedia] = st.one_of(
    st.builds(WireImage, data=BYTES, media_type=st.sampled_from(sorted(IMAGE_TYPES))),
    st.builds(WireAudio, data=BYTES, format=st.sampled_from(["wav", "mp3"])),
    st.builds(WireVideo, data=BYTES, media_type=st.sampled_from(sorted(VIDEO_TYPES))),
    st.builds(WireDocument, data=BYTES, name=TEXTS),
)


def kind_of(media: WireMedia) -> str:
    if isinstance(media, WireAudio):
        return f"audio/{media.format}"
    return "application/pdf" if isinstance(media, WireDocument) else media.media_type


@given(
    media=st.lists(MEDIA, min_size=1, max_size=4),
    texts=st.lists(st.text("ab é", min_size=1, max_size=9), max_size=2),
    dimensions=st.none() | st.integers(1, 3072),
)
def test_any_mix_of_media_and_words_is_one_content_of_google_s_types_byte_for_byte(
    media: list[WireMedia], texts: list[str], dimensions: int | None
) -> None:
    call = EmbeddingCall(model="m", texts=tuple(texts), media=tuple(media), dimensions=dimensions)
    encoded = encode_request(call, HOST)
    assert encoded.path == "/models/m:embedContent"
    tree: Any = json.loads(b"".join(encoded.segments))
    content = types.Content.model_validate(tree.pop("content"))
    blobs = [part.inline_data for part in content.parts or () if part.inline_data is not None]
    assert [(blob.mime_type, blob.data) for blob in blobs] == [(kind_of(each), each.data) for each in media]
    assert [part.text for part in content.parts or () if part.text is not None] == texts
    assert types.EmbedContentConfig.model_validate(tree).output_dimensionality == dimensions


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (WireImage(data=b"i", media_type="image/webp"), "send image/jpeg or image/png"),
        (WireVideo(data=b"v", media_type="video/webm"), "send video/mp4"),
    ],
)
def test_a_format_that_goes_into_no_vector_is_refused_before_it_is_sent(media: WireMedia, words: str) -> None:
    with pytest.raises(NotExpressible) as caught:
        encode_request(EmbeddingCall(model="m", texts=(), media=(media,)), HOST)
    assert not caught.value.sent
    assert words in caught.value.todo


@pytest.mark.parametrize("media", [WireVideo(data=b"v"), WireDocument(data=b"d")], ids=["video", "PDF"])
@pytest.mark.parametrize("wire", [openai_media_embeddings, ollama_embeddings], ids=lambda wire: wire.WIRE)
def test_where_vectors_are_of_texts_alone_media_are_refused(wire: ModuleType, media: WireMedia) -> None:
    with pytest.raises(NotExpressible):
        wire.encode_request(EmbeddingCall(model="m", texts=("a",), media=(media,)), HOST)


def test_embedding_tokens_are_counted_by_modality() -> None:
    reply = {
        "embedding": {"values": [0.6, 0.8]},
        "usageMetadata": {
            "promptTokenCount": 70,
            "promptTokensDetails": [{"modality": "VIDEO", "tokenCount": 66}, {"modality": "TEXT", "tokenCount": 4}],
        },
    }
    usage = decode_reply(json.dumps(reply).encode(), "h:m").usage
    assert (usage.input_tokens, usage.input_by_modality) == (70, (("video", 66), ("text", 4)))
