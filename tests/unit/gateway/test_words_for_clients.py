"""Who asks over HTTP is told of fields and headers, and of no option of a command line."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.house import STRONG, House, config

import intermodal
from intermodal import errors
from intermodal.gateway.dialects import CHAT, ERRORS, MESSAGES, OLLAMA, RESPONSES, Dialect
from intermodal.testing import FakeHost
from intermodal.wire.advice import OPTIONS, for_clients
from intermodal.wire.call import Error
from intermodal.wire.served import Refused

ROOT = Path(intermodal.__file__).parent
# What answers a request over HTTP is made by these; programs of the command line have words of their own.
REACH = ("asking.py", "incoming.py", "request.py", "catalog", "costing", "executor", "gateway", "media", "planner",
         "plans", "runtimes", "store", "wire")  # fmt: skip
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
# Started by whoever runs the server, before there is a client, or run as a program.
STARTING = frozenset({
    "accept-unpinned", "defaults", "force-reinstall", "list-langs", "psm", "tessdata-dir", "forget", "list", "output",
    "policy", "port", "prompts", "query-compute-apps", "query-gpu", "save", "workers",
})  # fmt: skip


def sentences() -> Iterator[tuple[str, str]]:
    """Every string in the code that is no docstring, with a word for what is put into it; and where it is."""
    for name in REACH:
        for path in [ROOT / name] if name.endswith(".py") else sorted((ROOT / name).rglob("*.py")):
            if path == ROOT / "wire" / "advice.py":
                continue
            if "--" not in (source := path.read_text()):
                continue
            nodes = tuple(ast.walk(ast.parse(source)))
            within = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
            within |= {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            for node in nodes:
                if isinstance(node, ast.JoinedStr):
                    words = "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "word" for part in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
                    words = node.value
                else:
                    continue
                if OPTION.search(words) and "\r\n" not in words:  # no boundary of a form
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", words


SENTENCES = list(sentences())


def test_there_are_sentences_to_look_at() -> None:
    assert len(SENTENCES) > 30, "the search finds nothing any more"


@pytest.mark.parametrize(("where", "words"), SENTENCES, ids=[where for where, _ in SENTENCES])
def test_no_sentence_of_ours_tells_a_client_of_an_option(where: str, words: str) -> None:
    told = for_clients(words)
    assert not OPTION.search(told), told
    unknown = {name for name in OPTION.findall(words) if name not in OPTIONS and name not in STARTING}
    assert not unknown, f"{where}: say in wire/advice.py what a client does instead of {unknown}"


def every(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


KINDS = [kind for kind in (*every(errors.IntermodalError), Refused) if kind.__module__.startswith("intermodal")]
TODO = "raise --max-cost, allow more time (--deadline), or lower --at-least; --host acme for this once, or " \
       "intermodal hosts add acme"  # fmt: skip


def made(kind: type[BaseException]) -> BaseException:
    if kind is Refused:
        return Refused("the limit is $1 (--max-cost)", status=402, todo=TODO)
    found: BaseException = kind.__new__(kind)
    errors.IntermodalError.__init__(found, "the limit is $1 (--max-cost)", where="--release", todo=TODO)  # type: ignore[arg-type]
    if isinstance(found, errors.CallError):
        found.status = 0
    return found


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_no_kind_of_error_tells_a_client_of_an_option(kind: type[BaseException]) -> None:
    for words in ERRORS.values():
        body = words(made(kind)).decode()
        assert "x-intermodal-max-cost" in body and not OPTION.search(body), body
    dialects: tuple[Dialect, ...] = (CHAT, RESPONSES, MESSAGES, OLLAMA)
    error = made(kind)
    if not isinstance(error, errors.CallError):
        return
    for dialect in dialects:
        streamed = dialect.encoder("auto").feed(Error(error=error)).decode()
        assert "x-intermodal-max-cost" in streamed and not OPTION.search(streamed), streamed
        whole = dialect.encode([Error(error=error)], "auto")[1].decode()
        assert "x-intermodal-max-cost" in whole and not OPTION.search(whole), whole


def test_what_a_host_said_is_left_as_it_was_said() -> None:
    said = 'box: refused the request: "tools need --enable-auto-tool-choice"; raise --max-cost'
    assert '"tools need --enable-auto-tool-choice"; raise x-intermodal-max-cost' in for_clients(said)


@pytest.fixture
def small(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    rows = STRONG.replace("32000", "900").replace('"large"', '"small"')
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", host.base_url, rows))))
    with House() as served:
        yield served


REFUSED: dict[str, dict[str, Any]] = {
    "x-intermodal-max-cost": {"headers": {"x-intermodal-max-cost": "0.0000001"}},
    "x-intermodal-deadline": {"headers": {"x-intermodal-deadline": "0.001"}},
    "x-intermodal-at-least": {
        "model": "auto",
        "headers": {"x-intermodal-farthest": "machine", "x-intermodal-at-least": "small"},
    },
    "whoever runs the server": {"model": "openai/gpt-4o"},
    "context": {"content": "word " * 4000},
}


@pytest.mark.parametrize("said", REFUSED)
def test_a_refusal_names_what_the_client_can_set(small: House, host: FakeHost, said: str) -> None:
    found = small.chat(**{"content": "hello", **REFUSED[said]})
    assert found.status_code in (400, 402, 404), found.text
    message = found.json()["error"]["message"]
    assert said in message and not OPTION.search(message), message
    assert not host.attempts


def test_notes_of_an_answer_name_fields_too(small: House, host: FakeHost) -> None:
    host.answer = "word " * 400
    for body in ({"max_tokens": 3}, {"max_tokens": 3, "moderation": True}):  # passed on, and by the executor
        told = json.dumps(small.chat("hello", **body).json()["usage"]["intermodal"]["notes"])
        assert "allow more with max_tokens" in told and not OPTION.search(told), told


EXPLAINED: dict[str, tuple[dict[str, str], str]] = {
    "a floor": ({}, "(x-intermodal-at-least)"),
    "a price": ({"x-intermodal-max-cost": "0", "x-intermodal-at-least": "small"}, "(x-intermodal-max-cost, or"),
    "consent": ({}, "whoever runs the server can give it (intermodal hosts add NAME)"),
}


@pytest.fixture
def several(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A cheap model, a dear one, and hosts that have a key but nobody's consent."""
    small, dear = STRONG.replace('"large"', '"small"'), STRONG.replace("cloud/strong", "cloud/dear")
    free = small.replace("mtok = 0.1", "mtok = 0").replace("mtok = 0.4", "mtok = 0")
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, free), ("other", host.base_url, dear))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.setenv(name, "sk-nobody")
    with House() as served:
        yield served


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_plan_names_what_the_client_can_set(several: House, name: str) -> None:
    headers, says = EXPLAINED[name]
    tree = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    found = several.post("/v1/explain", tree, **headers)
    assert found.status_code == 200, found.text
    again = several.http.get(f"/v1/plans/{found.json()['plan']['id']}")
    for said in (found, again):
        text = " ".join(said.json()["text"].split())
        assert says in text and not OPTION.search(said.text), said.json()["text"]
