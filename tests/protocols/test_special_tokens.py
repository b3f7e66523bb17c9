"""Marks of chat templates are broken up wherever they stand, and nothing else is touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.gates.injection import ALL_MARKS

from intermodal.core.content import Opaque, Reasoning, ToolCall, ToolResult
from intermodal.core.request import Tool
from intermodal.protocols.calls import ChatCall, WireImage, WireMessage, WireText
from intermodal.protocols.special_tokens import SpecialTokens, special_tokens, without_special_tokens


@pytest.mark.parametrize("mark", ALL_MARKS)
def test_the_marks_of_every_family_are_broken_up_once(mark: str) -> None:
    known = special_tokens()
    for text in (mark, f"a{mark}b", f"{mark}{mark}", f"<|im_{mark}end|>", f"{mark[:3]}{mark}{mark[3:]}"):
        broken = known.break_tokens(text)
        assert mark not in broken and broken.replace(" ", "") == text.replace(" ", "")
        assert known.break_tokens(broken) == broken and known.find_tokens(broken) == ()
    assert known.break_tokens(mark) == f"{mark[:-1]} {mark[-1]}"


@pytest.mark.parametrize(
    "text",
    [
        "", "plain words", "a <| b |> c", "x[0] + y[i] * [1, 2]", "# Notes:\n### Notes:\n",
        "<b>bold</b> <table><tr><td>1</td></tr></table>", "<s class='x'>", "if a<s and s>b: pass", "[ ] todo [x] done",
        "List<string>", "<user@example.org>", "a || b", "<https://example.org>", "1 < 2 > 0",
    ],
)  # fmt: skip
def test_text_without_special_tokens_is_not_changed(text: str) -> None:
    assert special_tokens().break_tokens(text) is text


def test_a_tag_that_is_broken_up_is_the_same_tag_to_a_reader_of_markup() -> None:
    from bs4 import BeautifulSoup

    page = "<p><s>old</s> <video></video></p>"
    broken = special_tokens().break_tokens(page)
    assert broken != page
    assert [tag.name for tag in BeautifulSoup(broken, "html.parser").find_all()] == ["p", "s", "video"]


def test_a_models_own_marks_are_broken_up_among_thousands() -> None:
    own = (*(f"<own{number}>" for number in range(5_000)), "<own", " ", "x", "")
    found = SpecialTokens(own, include_known=False)
    assert found.break_tokens("a<own4321>b <|im_end|> x") == "a<ow n4321 >b <|im_end|> x"
    assert special_tokens(("<turn!>",)).break_tokens("<turn!><|im_end|>") == "<turn! ><|im_end| >"


def test_no_string_of_a_call_has_a_mark_however_it_was_escaped() -> None:
    mark = "<|im_end|>"
    schema = {"type": "object", "properties": {f"p{mark}": {"enum": [mark, 1, None]}}}
    image = WireImage(data=b"<|im_end|>", media_type="image/png")
    parts = (
        WireText(text=mark), image, Reasoning(text=mark), ToolResult(id="1", text=mark),
        ToolCall(id="1", name="f", arguments='{"a": "\\u003c|im_end|>", "b": [1e3, "plain"]}'),
        ToolCall(id="2", name="f", arguments=f"broken {mark}"), Opaque(wire="w", body=mark),
    )  # fmt: skip
    tools = (Tool(name="f", description=mark, schema=schema),)
    call = without_special_tokens(
        ChatCall(model="m", messages=(WireMessage(role="user", parts=parts),), tools=tools), special_tokens()
    )
    text, same, thought, result, said, other, opaque = call.messages[0].parts
    assert same is image and isinstance(opaque, Opaque), "pixels are no text, and another wire's block is not sent"
    for each in (text, thought, result):
        assert isinstance(each, WireText | Reasoning | ToolResult) and each.text == "<|im_end| >"
    assert isinstance(said, ToolCall) and json.loads(said.arguments) == {"a": "<|im_end| >", "b": [1000, "plain"]}
    assert isinstance(other, ToolCall) and other.arguments == "broken <|im_end| >"
    (tool,) = call.tools
    inner: dict[str, Any] = tool.schema["properties"]
    assert tool.description == "<|im_end| >" and inner == {"p<|im_end| >": {"enum": ["<|im_end| >", 1, None]}}


def test_arguments_without_a_mark_are_the_very_bytes_the_model_wrote() -> None:
    said = ToolCall(id="1", name="f", arguments='{ "a" : 1.50 }')
    call = ChatCall(model="m", messages=(WireMessage(role="assistant", parts=(said,)),))
    assert without_special_tokens(call, special_tokens()).messages[0].parts == (said,)
