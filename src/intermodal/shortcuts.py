"""``intermodal.ask``: one line for one question. For more than one, keep a ``Client``: it keeps models warm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, Unpack, overload

from intermodal.client import Answer
from intermodal.request_builder import AskOptions, FileLike, with_options
from intermodal.sync_client import Client

T = TypeVar("T")


@overload
def ask(prompt: str, *files: FileLike, schema: type[T], **options: Unpack[AskOptions]) -> Answer[T]: ...


@overload
def ask(
    prompt: str, *files: FileLike, schema: Mapping[str, Any] | None = None, **options: Unpack[AskOptions]
) -> Answer[Any]: ...


@with_options(AskOptions)
def ask(prompt: str, *files: FileLike, schema: Any = None, **options: Unpack[AskOptions]) -> Answer[Any]:
    """Ask anything of any files.

    Args:
        prompt: the question.
        files: paths, http(s) URLs or bytes; what they are is read from the bytes.
        schema: a pydantic class, a dataclass or a JSON Schema; ``answer.value`` then has that type.
        options: fields of ``Policy`` and ``Sampling`` (``objective``, ``max_cost``, ``private``, …).

    Raises:
        InputError, NoRoute, CallError, OutputInvalid, NotInstalled, BudgetExceeded: see ``intermodal.errors``.
    """
    with Client() as client:
        return client.ask(prompt, *files, schema=schema, **options)
