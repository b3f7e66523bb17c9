"""The messages of OpenAI chat as clients write them: their types, and what each says.

``server.py`` reads requests with these types. ``chat_shape.py`` narrows them for chats whose bytes go on as they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import UNSET, UnsetType

from intermodal.content import Reasoning, Refusal, Role, Value
from intermodal.protocols.calls import WireAudio, WireDocument, WireLink, WireVideo
from intermodal.protocols.framing.inline_media import decode_base64
from intermodal.protocols.gemini.thought_signatures import from_openai_chat, signature_block
from intermodal.protocols.message_receiver import MessageReceiver
from intermodal.protocols.request_validation import decode_data_uri, document_from_data_uri, require_text

# ---- parts -------------------------------------------------------------------------------------


class TextPart(Value, gc=False, tag_field="type", tag="text"):
    text: str

    def tell(self, turns: MessageReceiver) -> None:
        turns.words(self.text)


class RefusalPart(Value, gc=False, tag_field="type", tag="refusal"):
    refusal: str

    def tell(self, turns: MessageReceiver) -> None:
        turns.part(Refusal(text=self.refusal))


class MediaUrl(Value, gc=False):
    url: str
    detail: Any = UNSET


class ImagePart(Value, gc=False, tag_field="type", tag="image_url"):
    image_url: MediaUrl | str

    def tell(self, turns: MessageReceiver) -> None:
        image = self.image_url
        if isinstance(image, str):
            turns.image_url(image, "auto")
        else:
            turns.image_url(image.url, image.detail or "auto")


class CodedMedia(Value, gc=False):
    data: str
    format: Any = UNSET


class AudioPart(Value, gc=False, tag_field="type", tag="input_audio"):
    input_audio: CodedMedia | str  # Mistral's clients send base64 alone

    def tell(self, turns: MessageReceiver) -> None:
        audio = self.input_audio
        if isinstance(audio, str):
            data = decode_base64(audio)
            turns.part(WireAudio(data=data, format="wav" if data[:4] == b"RIFF" else "mp3"))
        elif audio.format is UNSET:
            raise KeyError("format")
        else:
            turns.part(WireAudio(data=decode_base64(audio.data), format=audio.format))


class VideoPart(Value, gc=False, tag_field="type", tag="input_video"):
    input_video: CodedMedia

    def tell(self, turns: MessageReceiver) -> None:
        turns.part(WireVideo(data=decode_base64(self.input_video.data)))


class VideoUrlPart(Value, gc=False, tag_field="type", tag="video_url"):
    video_url: MediaUrl

    def tell(self, turns: MessageReceiver) -> None:
        url = self.video_url.url
        found = decode_data_uri(url)
        turns.part(WireLink(of="video", url=url) if found is None else WireVideo(data=found[1], media_type=found[0]))


class StoredFile(Value, gc=False):
    file_data: Any = None
    filename: Any = None
    file_id: Any = None


class FilePart(Value, gc=False, tag_field="type", tag="file"):
    file: StoredFile

    def tell(self, turns: MessageReceiver) -> None:
        turns.part(document_from_data_uri(self.file.file_data, self.file.filename, self.file.file_id))


class DocumentUrlPart(Value, gc=False, tag_field="type", tag="document_url"):
    document_url: str
    document_name: str | None = None

    def tell(self, turns: MessageReceiver) -> None:
        found, name = decode_data_uri(self.document_url), self.document_name or ""
        link = WireLink(of="document", url=self.document_url)
        turns.part(link if found is None else WireDocument(data=found[1], name=name))


ContentPart = TextPart | RefusalPart | ImagePart | AudioPart | VideoPart | VideoUrlPart | FilePart | DocumentUrlPart
# Types of parts that are media, and the field that holds each.
MEDIA: Mapping[str, tuple[str, ...]] = {
    kind: (kind,) for kind in ("image_url", "input_audio", "input_video", "video_url", "file", "document_url")
}


# ---- messages ----------------------------------------------------------------------------------


class _Message(Value, gc=False, tag_field="role"):
    content: str | Sequence[ContentPart] | UnsetType | None = UNSET
    ROLE: ClassVar[Role]

    def tell(self, turns: MessageReceiver) -> None:
        content = self.content
        if isinstance(content, str):
            turns.says(self.ROLE, content)
        else:
            turns.begin(self.ROLE)
            for part in content or ():
                part.tell(turns)

    @property
    def texts(self) -> Sequence[str]:
        """What is said in words."""
        content = self.content
        if isinstance(content, str):
            return [content]
        return [part.text for part in content or () if isinstance(part, TextPart)]


class OpenAISystemMessage(_Message, gc=False, tag="system"):
    ROLE = "system"


class OpenAIDeveloperMessage(OpenAISystemMessage, gc=False, tag="developer"):
    """The same from clients of reasoning models."""


class OpenAIUserMessage(_Message, gc=False, tag="user"):
    ROLE = "user"


class CalledFunction(Value, gc=False):
    name: str
    arguments: str


class MessageToolCall(Value, gc=False):
    id: str
    function: CalledFunction
    extra_content: Any = UNSET  # Google's


class SpokenAnswer(Value, gc=False):
    transcript: Any = None


class OpenAIAssistantMessage(_Message, gc=False, tag="assistant"):
    tool_calls: Sequence[MessageToolCall] | UnsetType | None = UNSET
    reasoning_content: str | UnsetType | None = UNSET
    audio: SpokenAnswer | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    function_call: CalledFunction | UnsetType | None = UNSET
    ROLE = "assistant"

    def tell(self, turns: MessageReceiver) -> None:
        content = self.content
        if not content and self.tool_calls:  # many clients send an empty text with them
            content = ()
        if isinstance(content, str) and not self.reasoning_content:
            turns.says("assistant", content)
        else:
            turns.begin("assistant")
            if self.reasoning_content:
                turns.part(Reasoning(text=self.reasoning_content))
            for part in (TextPart(text=content),) if isinstance(content, str) else content or ():
                part.tell(turns)
        if self.audio and not any(self.texts):
            if not self.audio.transcript:
                what = "an answer is named by the id of its audio, which is not kept here: send its transcript"
                raise ValueError(what)
            turns.words(require_text(self.audio.transcript, "a transcript"))
        if self.refusal:
            turns.part(Refusal(text=self.refusal))
        for call in self.tool_calls or ():
            if call.extra_content and (signature := from_openai_chat(call.extra_content)):
                turns.part(signature_block(signature))
            turns.call(call.id, call.function.name, call.function.arguments)
        if self.function_call:  # the predecessor of tools: its result gets the same id
            turns.call(None, self.function_call.name, self.function_call.arguments)
        turns.answered()


class _ResultMessage(_Message, gc=False):
    @property
    def result(self) -> str:
        if not isinstance(self.content, str) and len(self.texts) != len(self.content or ()):
            raise ValueError("a tool's result has words alone here: send its media in a message of the user")
        return "".join(self.texts)


class OpenAIToolMessage(_ResultMessage, kw_only=True, gc=False, tag="tool"):
    tool_call_id: str

    def tell(self, turns: MessageReceiver) -> None:
        turns.begin("tool")
        turns.result(self.tool_call_id, self.result)


class OpenAIFunctionMessage(_ResultMessage, kw_only=True, gc=False, tag="function"):
    name: str

    def tell(self, turns: MessageReceiver) -> None:
        turns.begin("tool")
        turns.result(None, self.result, tool=self.name)


class OpenAIConversation(Value, gc=False):
    """What is said in a request."""

    messages: list[
        OpenAISystemMessage
        | OpenAIDeveloperMessage
        | OpenAIUserMessage
        | OpenAIAssistantMessage
        | OpenAIToolMessage
        | OpenAIFunctionMessage
    ]

    def tell(self, turns: MessageReceiver) -> None:
        for message in self.messages:
            message.tell(turns)


ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# What is said of a word that is not known, by the end of its place.
UNKNOWN: Mapping[str, str] = {
    "role": f"a message has the role {{}}, which is not one of {', '.join(ROLES)}",
    "type": f"a part of type {{}} is not read here: there are text, {', '.join(MEDIA)}",
}
