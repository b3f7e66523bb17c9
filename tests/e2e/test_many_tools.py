"""Dozens of tools before a real llama.cpp server: what is planned is held against what it really makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.desk_tools import desk_tools
from tests.e2e.servers import LlamaServer, llama_server
from tests.unit.gateway.gateway_server import GatewayServer

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("counting_takes_its_time")]

_TURNS = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
_END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
_CALLS = "{% for m in messages %}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}{% endfor %}"
# One definition a line, as Hermes and Qwen have it; indented, as Llama 3 has it.
LINES = (
    "{% if tools %}<|im_start|>system\n# Tools\n\nYou may call functions:\n<tools>{% for tool in tools %}\n"
    "{{ tool | tojson }}{% endfor %}\n</tools><|im_end|>\n{% endif %}" + _CALLS + _TURNS + _END
)
INDENTED = LINES.replace("tojson }}{% endfor %}\n</tools>", "tojson(indent=4) }}\n{% endfor %}\n</tools>")
ASKED = "What did I write about the garden?"


def served(template: str) -> Iterator[LlamaServer]:
    with llama_server(template=template, context=8192) as server:
        yield server


def found_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: LlamaServer, *, entered: bool) -> GatewayServer:
    """A gateway that looks at the server, whose row the user wrote or did not."""
    monkeypatch.delenv("INTERMODAL_DISCOVERY")
    address = server.base_url.removesuffix("/v1")
    row = server.row("desk", tools="true") if entered else ""
    path = tmp_path / "intermodal.toml"
    path.write_text(f'{row}\n[discovery]\nusual_ports = false\naddresses = ["{address}"]\n')
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return GatewayServer()


@pytest.fixture(scope="module")
def lines() -> Iterator[LlamaServer]:
    yield from served(LINES)


@pytest.fixture(scope="module")
def indented() -> Iterator[LlamaServer]:
    yield from served(INDENTED)


def house_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: LlamaServer, *changes: tuple[str, str]
) -> GatewayServer:
    row = server.row("desk").replace('tokenizer = "smollm2"\n', "")
    for old, new in changes:
        row = row.replace(old, new)
    path = tmp_path / "intermodal.toml"
    path.write_text(row)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return GatewayServer()


def real(server: LlamaServer, tools: list[dict[str, Any]]) -> int:
    """Tokens of the whole prompt, as the server itself counts them."""
    root = server.base_url.removesuffix("/v1")
    asked = {"messages": [{"role": "user", "content": ASKED}], "tools": tools}
    with httpx.Client(base_url=root, timeout=300) as http:
        prompt = http.post("/apply-template", json=asked).json()["prompt"]
        return len(http.post("/tokenize", json={"content": prompt, "parse_special": True}).json()["tokens"])


def explained(house: GatewayServer, **more: Any) -> dict[str, Any]:
    tree = {"model": "desk/smollm2-135m", "messages": [{"role": "user", "content": ASKED}], "tools": desk_tools()}
    found = house.post("/v1/explain", tree | more)
    assert found.status_code == 200, found.text
    result: dict[str, Any] = found.json()
    return result


def planned(tree: dict[str, Any]) -> dict[str, float]:
    quantity: dict[str, float] = tree["plan"]["chosen"]["steps"][-1]["estimate"]["input_tokens"]
    return quantity


COUNTS = ('zone = "machine"', 'zone = "machine"\ncounts_text = "llama.cpp"')
VOCABULARY = ("context = ", 'tokenizer = "smollm2"\ncontext = ')


@pytest.mark.parametrize("which", ["lines", "indented"])
def test_a_server_that_counts_says_what_its_template_makes_of_tools(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server: LlamaServer = request.getfixturevalue(which)
    exact = real(server, desk_tools())
    with house_of(monkeypatch, tmp_path, server, COUNTS) as house:
        tree = explained(house)
        again = server.reached.count(b"/apply-template")
        explained(house)
        assert server.reached.count(b"/apply-template") == again, "counted once for each list of tools"
    found = planned(tree)
    assert abs(found["mid"] - exact) < 60, "but for the framing of the message itself"
    assert found["high"] - found["low"] < 80
    assert "counted by its server, as its chat template writes them" in " ".join(tree["text"].split())


@pytest.mark.parametrize("which", ["lines", "indented"])
@pytest.mark.parametrize("known", [True, False])
def test_without_its_template_what_is_real_lies_within_what_is_planned(
    which: str, known: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server: LlamaServer = request.getfixturevalue(which)
    exact = real(server, desk_tools())
    with house_of(monkeypatch, tmp_path, server, *([VOCABULARY] if known else [])) as house:
        found = planned(explained(house))
    assert found["low"] <= exact <= found["high"]
    assert abs(found["mid"] - exact) < 0.3 * exact
    # A vocabulary that nobody knows may be like that of any open weights: Llama 2 makes twice the tokens of signs that
    # Llama 3 makes, which weighs in definitions of tools.
    assert found["high"] < (1.6 if known else 1.75) * exact


def test_the_server_counts_what_it_is_really_sent_as_it_said(
    lines: LlamaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    few = desk_tools()[:4]  # reading all of them takes this model minutes on a busy machine
    with house_of(monkeypatch, tmp_path, lines, COUNTS) as house:
        tree = explained(house, tools=few)
        found = house.chat(ASKED, model="desk/smollm2-135m", tools=few, max_tokens=4)
    assert found.status_code == 200, found.text
    used = found.json()["usage"]["prompt_tokens"]
    assert used == real(lines, few)
    assert abs(planned(tree)["mid"] - used) < 60


@pytest.mark.parametrize("entered", [True, False])
def test_a_template_without_words_for_tools_is_not_offered_for_them(
    text_server: LlamaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, entered: bool
) -> None:
    """llama.cpp takes them and leaves them out of the prompt without a word."""
    with found_at(monkeypatch, tmp_path, text_server, entered=entered) as house:
        plain = house.chat("Hello", model=text_server.model, max_tokens=2)
        tools = house.chat("Hello", model=text_server.model, max_tokens=2, tools=desk_tools()[:1])
        able = house.post("/api/show", {"model": text_server.model}).json()["capabilities"]
    assert plain.status_code == 200, plain.text
    assert tools.status_code == 400
    assert "takes no tools" in tools.text
    assert "completion" in able and "tools" not in able


def test_a_template_with_words_for_tools_is_offered_and_counts_them(
    lines: LlamaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with found_at(monkeypatch, tmp_path, lines, entered=False) as house:
        tree = explained(house, model=lines.model)
        assert "tools" in house.post("/api/show", {"model": lines.model}).json()["capabilities"]
    words = " ".join(tree["text"].split())
    assert "counted by its server, as its chat template writes them" in words
    assert "it takes tools (reported" in words or "it takes tools (declared" in words, words
    assert abs(planned(tree)["mid"] - real(lines, desk_tools())) < 60
