"""Who asks over HTTP is told of fields and headers, and of no option of a command line."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config

import intermodal
from intermodal import errors
from intermodal.client_apis import (
    ANTHROPIC_MESSAGES,
    OLLAMA_CHAT,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
    ClientApi,
)
from intermodal.core.hints import consent_to, hint, setting
from intermodal.gateway.error_answers import ERROR_ENCODERS
from intermodal.protocols.calls import Error
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.testing import FakeHost

OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")


def every(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


KINDS = [kind for kind in (*every(errors.IntermodalError), RequestRefused) if kind.__module__.startswith("intermodal")]
LIMIT = hint("the limit is $1 ({max-cost})")
TODO = hint("raise {max-cost}, allow more time ({deadline}), or lower {at-least}; {}", consent_to("acme"))


def made(kind: type[BaseException]) -> BaseException:
    if kind is RequestRefused:
        return RequestRefused(LIMIT.spell_for("http"), status=402, todo=TODO.spell_for("http"))
    found: BaseException = kind.__new__(kind)
    where = setting("release")
    errors.IntermodalError.__init__(found, LIMIT, where=where, todo=TODO, reasons=(LIMIT,))  # type: ignore[arg-type]
    if isinstance(found, errors.CallError):
        found.status = 0
    return found


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_no_kind_of_error_tells_a_client_of_an_option(kind: type[BaseException]) -> None:
    for words in ERROR_ENCODERS.values():
        body = words(made(kind)).decode()
        assert "x-intermodal-max-cost" in body and not OPTION.search(body), body
    dialects: tuple[ClientApi, ...] = (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES, OLLAMA_CHAT)
    error = made(kind)
    if not isinstance(error, errors.CallError):
        return
    for dialect in dialects:
        streamed = dialect.encoder("auto").feed(Error(error=error)).decode()
        assert "x-intermodal-max-cost" in streamed and not OPTION.search(streamed), streamed
        whole = dialect.encode([Error(error=error)], "auto")[1].decode()
        assert "x-intermodal-max-cost" in whole and not OPTION.search(whole), whole


def test_the_message_of_a_host_is_quoted_unchanged() -> None:
    error = errors.CallError('refused it: "tools need --enable-auto-tool-choice"', todo=hint("raise {max-cost}"))
    assert '"tools need --enable-auto-tool-choice"; raise x-intermodal-max-cost' in str(error.wording_for("http"))


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_kind_of_error_names_settings_as_its_reader_sets_them(kind: type[BaseException]) -> None:
    error = made(kind)
    if not isinstance(error, errors.IntermodalError):
        return
    in_python = (str(error), error.what, error.where, error.todo, *error.reasons, *map(str, error.args))
    assert not OPTION.search(" ".join(in_python)), in_python
    assert "raise max_cost" in error.todo and 'hosts=("acme",)' in error.todo and error.where == "release"
    typed = error.wording_for("command line")
    assert str(typed).startswith("--release: the limit is $1 (--max-cost); raise --max-cost, allow more time")
    assert typed.reasons == ("the limit is $1 (--max-cost)",)


# Files whose texts the command line alone shows: its verbs; commands of other programs; settings of llama.cpp and vLLM.
SHOWN_BY_THE_COMMAND_LINE = (
    "cli", "testing", "local/servers/programs.py", "local/servers/footprint.py",
    "sizing/server_command.py",
    "sizing/memory.py", "local/embedded", "local/hardware/gpus.py", "local/weights/wheels.py",
    "charts/html.py",
)  # fmt: skip
COMMAND = re.compile(r"(intermodal|pull|serve|pip|vllm|explain|fit)\b[^;(]*? --[a-z]")


def advised(path: Path) -> Iterator[tuple[int, str]]:
    """What is written as the ``what``, ``where`` or ``todo`` of something raised: constants and pieces of f-strings."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
            continue
        for part in (*node.exc.args, *(each.value for each in node.exc.keywords)):
            written = tuple(ast.walk(part))
            within = {id(piece) for each in written if isinstance(each, ast.JoinedStr) for piece in each.values}
            for each in written:
                if isinstance(each, ast.JoinedStr):
                    pieces = (str(piece.value) if isinstance(piece, ast.Constant) else "word" for piece in each.values)
                    yield each.lineno, "".join(pieces)
                elif isinstance(each, ast.Constant) and isinstance(each.value, str) and id(each) not in within:
                    yield each.lineno, each.value


def test_what_is_raised_names_settings_as_values_and_no_options() -> None:
    root = Path(intermodal.__file__).parent
    seen, wrong = 0, []
    for path in sorted(root.rglob("*.py")):
        name = str(path.relative_to(root))
        if name.startswith(SHOWN_BY_THE_COMMAND_LINE):
            continue
        for line, words in advised(path):
            seen += 1
            if OPTION.search(words) and not COMMAND.search(words):
                wrong.append(f"{name}:{line}: {words}")
    assert seen > 1_000, "the search finds nothing any more"
    assert not wrong, "\n".join(("write a setting with intermodal.core.hints in place of an option", *wrong))


@pytest.fixture
def small(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    rows = STRONG.replace("32000", "900").replace('"large"', '"small"')
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", host.base_url, rows))))
    with GatewayServer() as served:
        yield served


REFUSED: dict[str, dict[str, Any]] = {
    "x-intermodal-max-cost": {"headers": {"x-intermodal-max-cost": "0.0000001"}},
    "x-intermodal-deadline": {"headers": {"x-intermodal-deadline": "0.001"}},
    "x-intermodal-at-least": {
        "model": "auto",
        "headers": {"x-intermodal-farthest": "machine", "x-intermodal-at-least": "small"},
    },
    "the owner of the server": {"model": "openai/gpt-4o"},
    "context": {"content": "word " * 4000},
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_refusal_names_what_the_client_can_set(small: GatewayServer, host: FakeHost, said: str) -> None:
    found = small.chat(**{"content": "hello", **REFUSED[said]})
    assert found.status_code in (400, 402, 404), found.text
    message = found.json()["error"]["message"]
    assert said in message and not OPTION.search(message), message
    assert not host.attempts


def test_notes_of_an_answer_name_fields_too(small: GatewayServer, host: FakeHost) -> None:
    host.answer = "word " * 400
    for body in ({"max_tokens": 3}, {"max_tokens": 3, "moderation": True}):  # passed on, and by the executor
        told = json.dumps(small.chat("hello", **body).json()["usage"]["intermodal"]["notes"])
        assert "allow more with max_tokens" in told and not OPTION.search(told), told


EXPLAINED: dict[str, tuple[dict[str, str], str]] = {
    "a floor": ({}, "(change it with x-intermodal-at-least)"),
    "a price": ({"x-intermodal-max-cost": "0", "x-intermodal-at-least": "small"}, "(x-intermodal-max-cost, or"),
    "consent": ({}, "the owner of the server can provide it (intermodal hosts add NAME)"),
}


@pytest.fixture
def several(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    """A cheap model, a dear one, and hosts that have a key but nobody's consent."""
    small, dear = STRONG.replace('"large"', '"small"'), STRONG.replace("cloud/strong", "cloud/dear")
    free = small.replace("mtok = 0.1", "mtok = 0").replace("mtok = 0.4", "mtok = 0")
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, free), ("other", host.base_url, dear))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "sk-nobody")
    with GatewayServer() as served:
        yield served


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_plan_names_what_the_client_can_set(several: GatewayServer, name: str) -> None:
    headers, says = EXPLAINED[name]
    tree = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    found = several.post("/v1/explain", tree, **headers)
    assert found.status_code == 200, found.text
    again = several.http.get(f"/v1/plans/{found.json()['plan']['id']}")
    for said in (found, again):
        text = " ".join(said.json()["text"].split())
        assert says in text and not OPTION.search(said.text), said.json()["text"]
