"""Validation that the readers of clients' requests share, for settings and media that several protocols spell alike.

Everything here raises ValueError, KeyError, TypeError or AttributeError for an invalid value; ``read_request`` turns
each into one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, cast

import msgspec

from intermodal.catalog.schema_enforcement import ANY_OBJECT
from intermodal.catalog.validation_messages import describe_expected
from intermodal.config.tables import PROMPT
from intermodal.core.content import Role
from intermodal.core.request import JsonOutput, TextOutput, Tool, ToolChoice
from intermodal.protocols.calls import (
    ChatCall,
    PastedDataUri,
    PromptCall,
    WireAudio,
    WireDocument,
    WireImage,
    WireLink,
    WireMedia,
    WireMessage,
    WirePart,
    WireVideo,
)
from intermodal.protocols.framing.inline_media import InlineMedia, decode_base64, read_json_with_media, split_data_uri

T = TypeVar("T")
W = TypeVar("W", bound=str)


def read_request(
    body: bytes, what: str, read: Callable[[dict[str, Any]], ChatCall], names: Mapping[str, str] = MappingProxyType({})
) -> ChatCall:
    """Return the call that ``read`` finds in a body. Raises ValueError for an invalid body.

    ``what`` names the kind of request in an error. ``names``: the protocol's own names of paths in a ``ChatCall``.
    """

    def read_and_check(tree: Any) -> ChatCall:
        if not isinstance(tree, dict):
            raise ValueError(f"not {what}: the body is not a JSON object")
        call = read(tree)
        msgspec.convert(msgspec.to_builtins(_without_media(call)), ChatCall)
        _check_numbers(call)
        return call

    try:
        return read_json_with_media(body, read_and_check)
    except msgspec.ValidationError as error:
        raise ValueError(f"not {what}: {validation_message(error, ChatCall, names)}") from None
    except KeyError as error:
        raise ValueError(f"not {what}: {error.args[0]!r} is missing") from None
    except (TypeError, AttributeError, LookupError):
        raise ValueError(f"not {what}: a value is of the wrong type") from None


_PLACE = re.compile(r" - at `\$\.?(.*)`$", re.DOTALL)


def validation_message(error: msgspec.ValidationError, cls: type[Any], names: Mapping[str, str]) -> str:
    """Return the message of a validation error, under the client's name for the invalid field."""
    text, path, *_ = *_PLACE.split(str(error)), ""
    place = re.sub(r"\[\d+\]", "", path)
    called = names.get(place) or place.rpartition(".")[2] or "a value"
    expected = describe_expected(text, cls, path)
    return f"{called} {expected}" if expected.startswith(("must", "is")) else f"{called}: {expected}"


def read_typed(value: Any, kind: type[T] | Any, unknown: Mapping[str, str], place: str = "") -> T:
    """Return a client's value in the types of its protocol. Raises ValueError in the client's terms.

    ``unknown``: messages for an unknown value, by the end of its path. ``place``: path of the value in the body.
    """
    try:
        return cast("T", msgspec.convert(value, kind))
    except msgspec.ValidationError as error:
        text, path, *_ = *_PLACE.split(str(error)), ""
        place = f"{place}.{path}" if place and path else place or path
        word = re.fullmatch("Invalid value (.*)", text, re.DOTALL)
        about = [message for end, message in unknown.items() if place.endswith(f".{end}")]
        if word and about:
            raise ValueError(about[0].format(_shorten(word[1]))) from None
        if missing := re.fullmatch("Object missing required field `(.*)`", text):
            raise ValueError(f"{missing[1]!r} is missing in {place}") from None
        if typed := re.fullmatch("Expected `(.+?)`(?:, got `(.+?)`)?", text):
            expected_types = [_JSON.get(name, name) for name in typed[1].split(" | ") if name != "null"]
            found = f", not {_JSON.get(typed[2], typed[2])}" if typed[2] else ""
            raise ValueError(f"{place} must be {_words_joined_by_or(expected_types)}{found}") from None
        raise ValueError(f"{place}: {text[:1].lower()}{text[1:]}") from None


# msgspec's names of types -> JSON's.
_JSON = {"str": "a string", "array": "an array", "object": "an object", "int": "a whole number", "float": "a number",
         "bool": "true or false"}  # fmt: skip


def _check_numbers(call: ChatCall) -> None:
    """Raise ValueError for an integer beyond 64 bits: JSON allows them, and almost no server does."""
    try:
        msgspec.msgpack.encode((call.sampling, call.output, call.tools, call.candidates, call.settings))
    except OverflowError:
        raise ValueError("a number is larger than 64 bits can say") from None
    except UnicodeEncodeError:
        return  # a lone surrogate, which is replaced when sending


def _without_media(call: ChatCall) -> ChatCall:
    """Return the call for type checks, without the bytes of media."""
    messages = tuple(
        WireMessage(role=message.role, parts=tuple(map(_without_data, message.parts))) for message in call.messages
    )
    return msgspec.structs.replace(call, messages=messages, prompt=None)


def _without_data(part: WirePart) -> WirePart:
    return msgspec.structs.replace(part, data=b"") if isinstance(part, WireMedia) else part


def read_prompt(
    tree: dict[str, Any], read: Callable[[Any], WirePart], media: Mapping[str, tuple[str, ...]]
) -> PromptCall | None:
    """Return the prompt that a body names, by ``prompt_id`` (LiteLLM's field) or by its model; None if it names none.

    ``media``: types of media parts, with the fields that identify them; ``read`` reads such a part.
    """
    prompt_fields = {name: tree.get(f"prompt_{name}") for name in ("id", "version", "variables")}
    model = tree.get("model")
    if not any(value is not None for value in prompt_fields.values()) and not names_prompt(model):
        return None
    return read_prompt_object(prompt_fields, read, media)


def names_prompt(model: Any) -> bool:
    """Return True if a model's name is that of a prompt."""
    return isinstance(model, str) and model.startswith(PROMPT)


def read_prompt_object(
    prompt_fields: dict[str, Any], read: Callable[[Any], WirePart], media: Mapping[str, tuple[str, ...]]
) -> PromptCall:
    """Return the prompt in an object with ``id``, ``version`` and ``variables``."""
    variables = {} if prompt_fields.get("variables") is None else prompt_fields["variables"]
    if not isinstance(variables, dict):
        raise ValueError("the variables of a prompt must be an object")

    def value(raw: Any) -> Any:
        if isinstance(raw, dict):
            kind = raw.get("type")
            media_fields = media.get(kind, ()) if isinstance(kind, str) else ()
            return read(raw) if any(raw.get(name) is not None for name in media_fields) else raw
        if isinstance(raw, InlineMedia) and raw.prefix.startswith("data:"):
            head, data = split_data_uri(raw)
            return PastedDataUri(prefix=head, data=data if isinstance(data, bytes) else b"")
        return raw

    return PromptCall(
        id=require_text(prompt_fields.get("id") or "", "the id of a prompt"),
        version=require_text(prompt_fields.get("version") or "", "the version of a prompt"),
        variables={
            name: [value(each) for each in raw] if isinstance(raw, list) else value(raw)
            for name, raw in variables.items()
        },
    )


def read_model(tree: dict[str, Any], prompt: PromptCall | None) -> str:
    """Return the model's name; if a prompt is given without a model, the prompt's."""
    if prompt is not None and prompt.id and tree.get("model") is None:
        return PROMPT + prompt.id
    return require_text(tree["model"], "model")


def read_messages(tree: dict[str, Any], name: str, prompt: PromptCall | None) -> Sequence[Any]:
    """Return the array of messages or input items; it may be absent if there is a prompt."""
    messages = tree.get(name) if prompt is not None else tree[name]
    return require_list([] if messages is None else messages, name)


def read_stop(stop: Any) -> tuple[str, ...]:
    """Return the stop sequences, given as a string or an array of strings."""
    if stop is not None and not isinstance(stop, (str, list)):
        raise ValueError("stop must be a string or an array of strings")
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def require_list(value: Any, what: str) -> Sequence[Any]:
    """Return an array. Raises ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"{what} must be an array")
    return value


def read_role(message: Any, roles: Mapping[str, Role]) -> Role:
    """Return a message's role. Raises ValueError for a role that the protocol does not have."""
    role = message["role"]
    if not isinstance(role, str) or role not in roles:
        raise ValueError(f"a message has the role {quote_value(role)}, which is not one of {', '.join(roles)}")
    return roles[role]


def require_one_of(value: Any, name: str, words: Sequence[W]) -> W:
    """Return the value if it is one of ``words``. Raises ValueError otherwise."""
    for word in words:
        if value == word:
            return word
    raise ValueError(
        f"{name} is {quote_value(value)}, and may be {_words_joined_by_or([word for word in words if word])}"
    )


def _words_joined_by_or(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def quote_value(value: Any) -> str:
    """Return a client's value as quoted in an error message."""
    return _shorten(repr(value))


def _shorten(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"


_LONGEST = 80  # letters


def read_bool(tree: dict[str, Any], name: str, usual: bool) -> bool:
    """Return a boolean. The string ``"false"`` is refused: either interpretation would be wrong half of the time."""
    value = tree.get(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{name} is neither true nor false")
    return usual if value is None else value


def require_text(value: Any, what: str) -> str:
    """Return a string. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"{what} must be a string")
    return value


def decode_data_uri(url: str) -> tuple[str, bytes] | None:
    """Return media type and bytes of a base64 data URI; None for any other URL."""
    head, data = split_data_uri(url)
    if not head.startswith("data:"):
        return None
    if not head.endswith(";base64") or head == url:
        raise ValueError("a data URI that is not base64")
    return head.removeprefix("data:").removesuffix(";base64"), data if isinstance(data, bytes) else decode_base64(data)


def image_from_url(url: str, detail: Any = "auto") -> WirePart:
    """Return the image of a data URI, or a link for any other URL, which only the media layer fetches."""
    found = decode_data_uri(require_text(url, "an image's url"))
    if found is None:
        return WireLink(media_kind="image", url=url, detail=detail)
    return WireImage(data=found[1], media_type=found[0], detail=detail)


_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
# Media types accepted for a document. The bytes decide; clients that do not know the type send octet-stream.
DOCUMENT_TYPES = frozenset({
    "application/pdf", "application/octet-stream", f"{_OFFICE}wordprocessingml.document",
    f"{_OFFICE}presentationml.presentation", f"{_OFFICE}spreadsheetml.sheet",
    f"{_OPEN}text", f"{_OPEN}spreadsheet", f"{_OPEN}presentation", f"{_OPEN}graphics",
    "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/vnd.ms-outlook",
    "application/rtf", "text/rtf", "application/epub+zip", "application/zip", "application/x-zip-compressed",
    "application/x-ipynb+json", "message/rfc822", "multipart/related", "text/html", "image/svg+xml",
    "application/x-subrip", "text/vtt", "text/x-ssa",
})  # fmt: skip
READABLE_DOCUMENTS = (
    "PDF, DOCX, PPTX, XLSX, ODT, ODS, ODP, RTF, DOC, XLS, PPT, EPUB, HTML, MHTML, subtitles, notebook, mail or ZIP"
)


def document_from_data_uri(file_data: Any, name: Any, file_id: Any = None) -> WireDocument:
    """Return the file that OpenAI's clients send as a data URI. ``file_id``: the id of a stored file, given instead."""
    found = decode_data_uri(require_text(file_data or "", "file_data"))
    if found is None or found[0] not in DOCUMENT_TYPES:
        raise file_error(file_id)
    return WireDocument(data=found[1], name=name or "")


def media_part(media_type: str, data: bytes, name: str = "") -> WirePart:
    """Return the part for bytes of a media type."""
    kind = media_type.partition("/")[0]
    if kind == "image":
        return WireImage(data=data, media_type=media_type)
    if kind == "video":
        return WireVideo(data=data, media_type=media_type)
    if media_type in ("audio/wav", "audio/x-wav", "audio/wave"):
        return WireAudio(data=data, format="wav")
    if media_type in ("audio/mpeg", "audio/mp3"):
        return WireAudio(data=data, format="mp3")
    if media_type in DOCUMENT_TYPES:
        return WireDocument(data=data, name=name)
    raise ValueError(f"media of type {quote_value(media_type)} is not read here")


def read_tools(tools: Any, what: str = "tools") -> tuple[Tool, ...]:
    """Return tools in OpenAI's form, with or without the wrapper of chat completions."""
    found = []
    for tool in require_list(tools or [], what):
        if tool.get("type", "function") != "function":
            raise ValueError(
                f"a tool of type {quote_value(tool['type'])}, which only its vendor runs: here are functions"
            )
        own = tool.get("function", tool)
        schema = {"schema": own["parameters"]} if own.get("parameters") is not None else {}
        name, described = require_text(own["name"], "a tool's name"), own.get("description") or ""
        found.append(Tool(name=name, description=described, strict=read_bool(own, "strict", False), **schema))
    return tuple(found)


def read_tool_choice(choice: Any, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return tools and tool choice from OpenAI's ``tool_choice``; if it allows only some tools, only those are
    returned.
    """
    if choice in (None, "auto", "none", "required"):
        return tools, choice or "auto"
    if isinstance(choice, str):
        raise ValueError(f"tool_choice is {quote_value(choice)}, and may be auto, none, required, or name a tool")
    if choice.get("type") == "allowed_tools":
        among = choice.get("allowed_tools", choice)
        if among["mode"] not in ("auto", "required"):
            raise ValueError(f"tool_choice has the mode {among['mode']!r}, which is neither 'auto' nor 'required'")
        allowed_names = {
            find_tool(_tool_name(tool), tools)[0].name for tool in require_list(among["tools"], "tool_choice.tools")
        }
        return tuple(tool for tool in tools if tool.name in allowed_names), among["mode"]
    return find_tool(_tool_name(choice), tools), "required"


def _tool_name(tool: Any) -> str:
    """Return a tool's name from a reference to it, with or without the wrapper of chat completions."""
    return require_text(tool.get("name") or tool["function"]["name"], "a tool's name")


def find_tool(name: str, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """Return the tool of this name. Raises ValueError if there is none."""
    found = tuple(tool for tool in tools if tool.name == name)
    if not found:
        raise ValueError(f"tool_choice names {name!r}, which is not among the tools")
    return found


def read_response_format(form: Any) -> TextOutput | JsonOutput:
    """Return the output of OpenAI's ``response_format`` (``json_schema`` nested) or ``text.format`` (the
    same, flat).
    """
    if not form or form["type"] == "text":
        return TextOutput()
    if form["type"] == "json_object":
        return JsonOutput(schema=ANY_OBJECT)
    if form["type"] != "json_schema":
        kind = quote_value(form["type"])
        raise ValueError(f"an answer of format {kind}: there are text, json_object and json_schema")
    own = form.get("json_schema", form)
    return JsonOutput(schema=own["schema"], name=own.get("name", "answer"))


def file_error(file_id: Any) -> ValueError:
    """Return the error for a file that is not a readable document, or that is only referred to by id."""
    if file_id:
        return ValueError("file_id names a file that is kept elsewhere, and none is kept here: send it as file_data")
    what = f"file_data is no {READABLE_DOCUMENTS} in a data URI (data:application/pdf;base64,…)"
    return ValueError(f"{what}: send other files as text")
