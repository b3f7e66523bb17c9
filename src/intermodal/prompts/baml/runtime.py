"""BAML's runtime: validates files, renders without a call, parses answers. It sends and opens nothing.

Rendering returns the request to a host that does not exist. The provider is Google's, the only one that renders all
modalities, with roles renamed so that they keep their position, and URLs left unchanged. The runtime inserts roles and
media into the text as markers, which a value could contain: similar text in values is first broken up with a random
number, and restored afterwards. Media are replaced by placeholders: no file passes through the runtime.
"""

from __future__ import annotations

import importlib
import re
import secrets
import types
from collections.abc import Mapping
from typing import Any, NamedTuple

from intermodal.core.content import MediaPart, Part, Role, Text
from intermodal.core.request import Message
from intermodal.errors import NotInstalled, OutputInvalid
from intermodal.prompts.baml.declarations import MEDIA
from intermodal.prompts.prompt_file import MediaValue
from intermodal.prompts.rendering import MOST_LETTERS, TemplateError

NAME = "baml_src"  # the folder's name for the runtime: no path of this machine
ROLES: Mapping[str, Role] = {"imsystem": "system", "imuser": "user", "imassistant": "assistant"}
_OPTIONS = {
    "base_url": "http://localhost:1/v1", "model": "none", "api_key": "none",
    "allowed_roles": ["system", "user", "assistant"],
    "remap_roles": {role: name for name, role in ROLES.items()},
    "media_url_handler": dict.fromkeys(("image", "audio", "pdf", "video"), "send_url"),
}  # fmt: skip
WORDS: Mapping[str, str] = {kind: word for word, kind in MEDIA.items()}  # for kinds of media
MARKS = re.compile(r"baml_(?:chat_role|media)_magic_string_delimiter", re.IGNORECASE)
_WHOLE = ("baml_chat_role_magic_string_delimiter", "baml_media_magic_string_delimiter")
_TYPES = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4", "pdf": "application/pdf"}
_PLACE = re.compile(r"-->\s+(.+?):(\d+)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class BamlProblem(NamedTuple):
    """An error of the runtime in a file. ``file`` is "" if unknown."""

    what: str
    file: str = ""
    line: int = 0


def _library() -> Any:
    """Return ``baml_py``, imported on first use. Raises NotInstalled."""
    try:
        return importlib.import_module("baml_py")
    except ImportError:
        todo = "run: pip install 'intermodal[baml]'"
        raise NotInstalled("files of BAML need baml-py", todo=todo) from None


class BamlRuntime:
    """The runtime for the files of one folder. Raises BamlRejected if it rejects them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        library = _library()
        self._library = library
        try:
            self._runtime = library.baml_py.BamlRuntime.from_files(NAME, dict(files), {})
        except BaseException as error:
            raise BamlRejected(problems(_runtime_message(error))) from None
        self._clients = {role: self._client(role) for role in ("user", "system")}

    def _client(self, opening: str) -> Any:
        registry = self._library.ClientRegistry()
        registry.add_llm_client("intermodal", "google-ai", {**_OPTIONS, "default_role": opening})
        registry.set_primary("intermodal")
        return registry

    def render(self, function: str, values: Mapping[str, Any], opening: Role = "user") -> list[Message]:
        """Return the messages of a function. ``opening``: role of the text before the first role.

        Raises TemplateError for invalid values or an invalid template.
        """
        marks: dict[str, MediaPart] = {}
        mender = _MarkEscaper(values)
        arguments = {name: self._runtime_value(value, marks, mender) for name, value in values.items()}
        runtime = self._runtime
        try:
            context = runtime.create_context_manager()
            http_request = runtime.build_request_sync(
                function, arguments, context, None, self._clients[opening], {}, False
            )
            body = http_request.body.json()
        except BaseException as error:
            raise TemplateError(problems(_runtime_message(error))[0].what, todo="see what the function takes") from None
        return _messages(body, marks, mender)

    def _runtime_value(self, value: Any, marks: dict[str, MediaPart], mender: _MarkEscaper) -> Any:
        if isinstance(value, MediaValue):
            mark = "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(32))  # base64, and of no value
            marks[mark] = value.part
            kind = WORDS[value.kinds[0] if value.kinds else type(value.part).__name__.lower()]
            media_class = getattr(self._library, kind.capitalize())
            return media_class.from_base64(mark) if kind == "pdf" else media_class.from_base64(_TYPES[kind], mark)
        if isinstance(value, Mapping):
            return {mender.escape(key): self._runtime_value(each, marks, mender) for key, each in value.items()}
        if isinstance(value, list):
            return [self._runtime_value(each, marks, mender) for each in value]
        return mender.escape(value)

    def parse(self, function: str, text: str, *, partial: bool = False) -> Any:
        """Return an answer as plain data. ``partial``: the answer is incomplete. Raises OutputInvalid."""
        runtime = self._runtime
        try:
            return runtime.parse_llm_response(
                function, text, _ENUMS, _CLASSES, _CLASSES, partial, runtime.create_context_manager(), None, None, {}
            )
        except BaseException as error:
            reason = _reason(_runtime_message(error))
            todo = "use a stronger model, or a simpler type"
            raise OutputInvalid(f"the answer is not what {function} returns: {reason}", todo=todo) from None


class BamlRejected(ValueError):
    """The files were rejected by the runtime, with its reasons."""

    def __init__(self, problems: list[BamlProblem]) -> None:
        super().__init__(problems[0].what)
        self.problems = problems


def _runtime_message(error: BaseException) -> str:
    """Return the runtime's message; re-raise other errors."""
    library = _library()
    panic = type(error).__name__ == "PanicException"  # of Rust, and no Exception
    if not isinstance(error, library.baml_py.BamlError | ValueError | TypeError | RuntimeError) and not panic:
        raise error
    text = _COLOUR.sub("", str(error)).partition("\nStack backtrace")[0].strip()
    return f"BAML's runtime failed at it ({text[:200]})" if panic else text


def problems(message: str) -> list[BamlProblem]:
    """Return the errors in the runtime's message, each with file and line if stated."""
    found = []
    for piece in re.split(r"^error: ", message, flags=re.MULTILINE):
        if not piece.strip():
            continue
        place = _PLACE.search(piece)
        head = piece[: place.start()] if place else piece.partition("\n---")[0]
        what = " ".join(head.removeprefix("Error validating: ").split())
        what = what.removeprefix("Invalid argument: Error: ").removeprefix("Error occurred while rendering prompt: ")
        found.append(BamlProblem(what[:400], place[1] if place else "", int(place[2]) if place else 0))
    return found or [BamlProblem("BAML's runtime refuses it")]


_REASONS = re.compile(r'reason: "((?:[^"\\]|\\.)*)"')


_NO_REASONS = ("Failed while", "Failed to", "Assertions failed")


def _reason(message: str) -> str:
    """Return why an answer could not be parsed: the innermost cause in the runtime's message."""
    found = [each for each in _REASONS.findall(message) if not each.startswith(_NO_REASONS)]
    words = found[0] if found else message.removeprefix("Failed to coerce value: ")
    return " ".join(words.replace("\\n", " ").replace('\\"', '"').split())[:300]


# ---- values that look like the runtime's marks -------------------------------------------------------------


class _MarkEscaper:
    """Breaks up the runtime's own markers in values, and restores them in the rendered text."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        texts = list(_texts(values))
        self._break = ""
        if any(MARKS.search(text) for text in texts):
            self._break = f"{secrets.randbelow(10**30):030d}"
        if can_form_marker(texts):
            what = "arguments make a mark of BAML's own reader when they stand side by side"
            raise TemplateError(what, todo="take it out of them: it ends in DELIMITER")

    def escape(self, value: Any) -> Any:
        if isinstance(value, str):
            if not self._break:
                return value
            return MARKS.sub(lambda found: found[0].replace("_", f"_{self._break}", 1), value)
        return value

    def unescape(self, text: str) -> str:
        return text.replace(self._break, "") if self._break else text


def _texts(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, MediaValue):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(key)
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def can_form_marker(texts: list[str]) -> bool:
    """Return whether consecutive texts could form a marker that none of them contains.

    That is the end of one text, any number of whole texts, and the beginning of another. An underscore in between may
    come from the template.

    >>> can_form_marker(["… BAML_CHAT_ROLE_MAGIC", "_STRING_DELIMITER:"]), can_form_marker(["Plan B", "aml"])
    (True, False)
    """
    small = [text.lower() for text in texts if text]
    ends = {text[-40:] for text in small}
    starts = {text[:40] for text in small}
    inner = {text for text in small if len(text) < 40}
    return any(_makes(mark, ends, inner, starts) for mark in _WHOLE)


def _makes(mark: str, ends: set[str], inner: set[str], starts: set[str]) -> bool:
    length = len(mark)
    reached = {place for place in range(1, length) if any(text.endswith(mark[:place]) for text in ends)}
    for place in range(1, length):
        if place not in reached:
            continue
        if any(text.startswith(mark[place:]) for text in starts):
            return True
        if mark[place] == "_":
            reached.add(place + 1)
        reached |= {place + len(text) for text in inner if mark.startswith(text, place)}
    return length in reached


# ---- rendered prompt -------------------------------------------------------------------------------------


def _messages(body: Mapping[str, Any], marks: Mapping[str, MediaPart], mender: _MarkEscaper) -> list[Message]:
    messages = []
    letters = 0
    for content in body.get("contents", ()):
        parts: list[Part] = []
        for part in content["parts"]:
            if "text" in part:
                text = mender.unescape(part["text"])
                letters += len(text)
                parts += [Text(text=text)] if text.strip() else []
                continue
            medium = marks.get(part.get("inline_data", {}).get("data", ""))
            if medium is None:
                raise TemplateError("makes media that are no argument", todo="take media as arguments")
            parts.append(medium)
        if letters > MOST_LETTERS:
            what = f"makes more than {MOST_LETTERS >> 20} MiB of text"
            raise TemplateError(what, todo="put a long value into it once")
        if parts:
            messages.append(Message(role=ROLES.get(content["role"], "user"), parts=tuple(parts)))
    return messages


# ---- plain data instead of generated classes -------------------------------------------------------------


class _Plain(types.ModuleType):
    """Replaces the module of classes that BAML generates: every attribute produces plain data."""

    def __init__(self, name: str, parser: Any) -> None:
        super().__init__(name)
        self._made = parser

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._made


class _Data:
    @staticmethod
    def model_validate(value: Any) -> Any:
        return dict(value)


def _identity(value: Any) -> Any:
    return value


_ENUMS, _CLASSES = _Plain("enums", _identity), _Plain("classes", _Data)
