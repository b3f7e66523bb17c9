"""The published cases of dotprompt, one by one: what each file renders to and declares is what the specification says.

They are the project's own (github.com/google/dotprompt, folder ``spec``). The variable ``CONFORMANCE`` names a folder
that holds them as ``dotprompt/spec``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from intermodal.core.content import Role, Text
from intermodal.core.request import Message
from intermodal.prompts.dotprompt.handlebars import HandlebarsTemplate
from intermodal.prompts.dotprompt.reader import ROLES, Dotprompt, DotpromptMessage, DotpromptTemplate, json_schema
from intermodal.prompts.rendering import Slot
from intermodal.prompts.source_text import split_front_matter

SPEC = Path(os.environ.get("CONFORMANCE", "nowhere")) / "dotprompt" / "spec"
pytestmark = pytest.mark.skipif(not SPEC.is_dir(), reason="CONFORMANCE names no folder with dotprompt/spec")


def cases() -> Iterator[Any]:
    import yaml

    for path in sorted(SPEC.rglob("*.yaml")):
        for group in yaml.safe_load(path.read_text("utf-8")):
            for test in group["tests"]:
                yield pytest.param(group, test, id=f"{path.stem}: {group['name']}: {test.get('desc', '')}")


CASES = list(cases()) if SPEC.is_dir() else []


@pytest.mark.parametrize(("group", "test"), CASES)
def test_every_published_case_comes_out_as_it_says(group: dict[str, Any], test: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "case.prompt"
    source = split_front_matter(path, group["template"])
    data = {**group.get("data", {}), **test.get("data", {})}
    partials = {**group.get("partials", {}), **group.get("resolverPartials", {})}
    body = source.body.strip() if source.declared else source.body
    default = {
        **((source.front.value.get("input") or {}).get("default") or {}),
        **((test.get("options", {}).get("input") or {}).get("default") or {}),
    }
    history = tuple(
        Message(role=ROLES[each["role"]], parts=tuple(Text(text=part["text"]) for part in each["content"]))
        for each in data.get("messages", ())
    )
    template = DotpromptTemplate(path, HandlebarsTemplate(body, partials))
    turns = template.split_turns({**default, **data.get("input", {})}, history, data.get("context"))
    expect = test["expect"]
    shown = [{"role": each["role"], "content": each["content"]} for each in expect["messages"]]
    assert [as_shown(turn) for turn in turns] == shown
    for key in ("input", "output"):
        if schema := expect.get(key, {}).get("schema"):
            named = group.get("schemas", {})
            said = source.front.value[key]["schema"]
            if named or group.get("resolverSchemas"):
                pytest.skip("schemas by name are registered in a program; a file stands for itself here")
            assert json_schema(said, fail) == schema
    if "config" in expect:
        assert source.front.value.get("config", {}) == expect["config"]
    if "ext" in expect:
        Dotprompt().read(path, group["template"])  # keys of others are no error


def fail(at: tuple[str | int, ...], what: str, todo: str) -> Exception:
    return AssertionError((at, what, todo))


def as_shown(turn: DotpromptMessage) -> dict[str, Any]:
    if turn.before is not None:
        names: dict[Role, str] = {"assistant": "model"}
        parts = [{"text": part.text} for part in turn.before.parts if isinstance(part, Text)]
        return {"role": names.get(turn.before.role, turn.before.role), "content": parts}
    return {"role": turn.role, "content": [piece_shown(piece) for piece in turn.pieces]}


def piece_shown(piece: str | Slot) -> dict[str, Any]:
    if isinstance(piece, str):
        return {"text": piece}
    if piece.kind == "section":
        return {"metadata": {"purpose": piece.value, "pending": True}}
    media = {"url": str(piece.value), **({"contentType": piece.content_type} if piece.content_type else {})}
    return {"media": media}
