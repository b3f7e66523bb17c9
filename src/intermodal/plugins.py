"""The contract of plugins: the object that each group of entry points expects, and the types for writing it.

``intermodal.hosts``       a ``dict``: the row of a host, with the fields of ``[hosts.NAME]`` in intermodal.toml
``intermodal.protocols``   a ``ChatProtocol``, a module or an object: encodes a chat for a host and reads its reply
``intermodal.converters``  a ``FileConverter``, called in the sandboxed media worker for files with that extension
``intermodal.runtimes``    a ``SpeechRuntime`` or ``TextRuntime``: runs a model of a host's row in its own process
``intermodal.prompts``     a ``PromptFormat``: reads prompt files with given file name endings
``intermodal.outputs``     an ``OutputFormat``: an answer requested as JSON or text and rendered in another format

The name of an entry point is the name of the host, protocol or output, or the extension of the files.
``docs/plugins.md`` explains each with an example, and ``examples/plugin`` is a complete package. Types are imported on
first use, so that importing this module loads nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from intermodal.catalog.types import Host as Host
    from intermodal.core.content import ReadLine as ReadLine
    from intermodal.core.content import Segment as Segment
    from intermodal.core.content import Text as Text
    from intermodal.core.content import Transcript as Transcript
    from intermodal.core.request import JsonOutput as JsonOutput
    from intermodal.core.request import Message as Message
    from intermodal.core.request import Output as Output
    from intermodal.core.request import TextOutput as TextOutput
    from intermodal.errors import CallError as CallError
    from intermodal.errors import InputBroken as InputBroken
    from intermodal.errors import PromptError as PromptError
    from intermodal.events import Result as Result
    from intermodal.media.office.conversion_types import ConvertedFile as ConvertedFile
    from intermodal.media.office.conversion_types import EmbeddedFile as EmbeddedFile
    from intermodal.prompts.prompt_file import Argument as Argument
    from intermodal.prompts.prompt_file import PromptFile as PromptFile
    from intermodal.prompts.prompt_file import PromptFormat as PromptFormat
    from intermodal.prompts.prompt_file import Template as Template
    from intermodal.prompts.prompt_file import TextTemplate as TextTemplate
    from intermodal.protocols.calls import ChatCall as ChatCall
    from intermodal.protocols.calls import EncodedRequest as EncodedRequest
    from intermodal.protocols.calls import Finish as Finish
    from intermodal.protocols.calls import NotExpressible as NotExpressible
    from intermodal.protocols.calls import ReasoningDelta as ReasoningDelta
    from intermodal.protocols.calls import ToolCallDelta as ToolCallDelta
    from intermodal.protocols.calls import WireEvent as WireEvent
    from intermodal.protocols.calls import WireImage as WireImage
    from intermodal.protocols.calls import WireText as WireText
    from intermodal.protocols.calls import WireTextDelta as WireTextDelta
    from intermodal.protocols.calls import WireUsage as WireUsage


class ChatProtocol(Protocol):
    """Two functions that encode requests to a host and read its replies, without I/O.

    Two attributes are optional: ``FRAMING``, how a reply separates events ("sse", or "ndjson" for lines of JSON), and
    ``IMAGE_TYPES``, a frozenset of the media types of images that the protocol can carry.
    """

    def encode_request(self, call: ChatCall, host: Host, /) -> EncodedRequest:
        """Return the request for a chat, without an API key. Raises NotExpressible if the protocol cannot carry it."""
        ...

    def read_event(self, event: Mapping[str, Any], /) -> Iterable[WireEvent]:
        """Return the content of an event: answer text, usage, and at the end the finish reason."""
        ...


class FileConverter(Protocol):
    """A function that converts a file to text, with its images and attachments if it has any."""

    def __call__(self, data: bytes, name: str, /) -> ConvertedFile | str:
        """Convert the bytes of a file named ``name``. Raises InputBroken if the file is damaged."""
        ...


class SpeechRuntime(Protocol):
    """Speech recognition in a separate process, which has no API keys and no access to the user's files."""

    def load(self, path: str, /) -> Any:
        """Return the loaded model. ``path`` is the ``weights`` of the row, "" if it states none."""
        ...

    def transcribe(self, model: Any, pcm: bytes, language: str, /) -> Transcript | Iterable[Segment]:
        """Transcribe signed 16-bit mono samples at 16 kHz. ``language`` is an ISO 639-1 code, "" if unknown."""
        ...


class TextRuntime(Protocol):
    """Text recognition in images in a separate process, which has no API keys and no access to the user's files."""

    def load(self, path: str, /) -> Any:
        """Return the loaded model. ``path`` is the ``weights`` of the row, "" if it states none."""
        ...

    def read(self, model: Any, png: bytes, language: str, /) -> Iterable[ReadLine]:
        """Return the lines of a PNG image with their boxes, in any order."""
        ...


class OutputFormat(Protocol):
    """An output format.

    ``output`` is the built-in output that the model produces, usually a ``JsonOutput`` with a schema.
    """

    @property
    def output(self) -> Output: ...

    def render(self, result: Result, /) -> str:
        """Return the answer in this format. ``result.data`` is its JSON data, ``result.text`` its text."""
        ...


_MODULES = {
    "catalog.types": ("Host",),
    "core.content": ("ReadLine", "Segment", "Text", "Transcript"),
    "errors": ("CallError", "InputBroken", "PromptError"),
    "media.office.conversion_types": ("ConvertedFile", "EmbeddedFile"),
    "prompts.prompt_file": ("Argument", "PromptFile", "PromptFormat", "Template", "TextTemplate"),
    "protocols.calls": (
        "ChatCall", "EncodedRequest", "Finish", "NotExpressible", "ReasoningDelta", "ToolCallDelta", "WireEvent",
        "WireImage", "WireText", "WireTextDelta", "WireUsage",
    ),
    "events": ("Result",),
    "core.request": ("JsonOutput", "Message", "Output", "TextOutput"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a checker would take any name for one of this module's

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(f"intermodal.{_MODULE_OF[name]}"), name)
        return value
