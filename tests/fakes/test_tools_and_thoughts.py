"""Two turns with tools, through the client, against vendors who look whether what was thought comes back as it was."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.types import Protocol
from intermodal.client.async_client import AsyncClient
from intermodal.config.config_file import Config
from intermodal.core.content import Opaque, Reasoning, Text, ToolCall, ToolResult
from intermodal.core.request import Message, Policy, Request, Tool
from intermodal.events import Result
from intermodal.testing import Attempt, FakeVendor
from intermodal.testing.fake_vendor import Name

pytestmark = pytest.mark.anyio
WEATHER = Tool(
    name="weather",
    description="Weather of a city",
    schema={"type": "object", "properties": {"city": {"type": "string"}}},
)
ASKED = Message(role="user", parts=(Text(text="What is the weather in Basel?"),))
DECLARED: dict[Name, Callable[[Attempt], str]] = {
    "anthropic": lambda attempt: attempt.json["tools"][0]["name"],
    "gemini": lambda attempt: attempt.json["tools"][0]["functionDeclarations"][0]["name"],
    "ollama": lambda attempt: attempt.json["tools"][0]["function"]["name"],
    "openai-responses": lambda attempt: attempt.json["tools"][0]["name"],
}


async def ask(vendor: FakeVendor, *messages: Message) -> Result:
    protocol: Protocol = vendor.name
    model = ServedRow(id="acme/talker-70b", context=8192, input_mtok=1.0, output_mtok=2.0)
    config = Config(hosts=(HostRow(id="box", base_url=vendor.base_url, stated_protocol=protocol, models=(model,)),))
    request = Request(messages=messages, tools=(WEATHER,), policy=Policy(model="box:acme/talker-70b"))
    async with AsyncClient(config) as client:
        return await client.run(request)


@pytest.mark.parametrize("name", DECLARED)
async def test_a_tool_is_called_and_its_result_is_answered_with_every_thought_where_it_was(name: Name) -> None:
    with FakeVendor(name, "I look.", thought="Hm.", calls=(("weather", {"city": "Basel"}),)) as vendor:
        first = await ask(vendor, ASKED)
    assert DECLARED[name](vendor.attempts[0]) == "weather"
    assert first.text == "I look."
    assert first.finish_reason == "tool_call"
    (call,) = first.tool_calls
    assert (call.name, msgspec.json.decode(call.arguments)) == ("weather", {"city": "Basel"})
    assert [type(part) for part in first.parts if not isinstance(part, Opaque)] == [Reasoning, Text, ToolCall]

    answer = Message(role="assistant", parts=first.parts)
    result = Message(role="tool", parts=(ToolResult(id=call.id, text="rain"),))
    with FakeVendor(name, "It rains.") as vendor:  # refuses what was thought when it is not as it was sent
        second = await ask(vendor, ASKED, answer, result)
    assert second.text == "It rains."
    assert second.finish_reason == "stop"
    assert second.parts == ()
    assert any("rain" in text for text in vendor.attempts[0].texts)
