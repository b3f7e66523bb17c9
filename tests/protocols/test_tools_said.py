"""The catalog knows which wires cannot say how tools are called: exactly those whose codec refuses to."""

from __future__ import annotations

import msgspec
import pytest

from intermodal.catalog.types import UNSUPPORTED_TOOL_CHOICES, Host, Protocol
from intermodal.core.request import Tool
from intermodal.executor.drivers.codecs import CHATS, chat_codec
from intermodal.protocols.calls import ChatCall, NotExpressible, WireMessage, WireText

CALL = ChatCall(
    model="m", messages=(WireMessage(role="user", parts=(WireText(text="Now?"),)),), tools=(Tool(name="now"),)
)
ASKED = {
    "one at a time": msgspec.structs.replace(CALL, parallel_tools=False),
    "must": msgspec.structs.replace(CALL, tool_choice="required"),
}


@pytest.mark.parametrize("said", ASKED)
@pytest.mark.parametrize("protocol", CHATS)
def test_a_plan_rejects_what_the_wire_would(protocol: Protocol, said: str) -> None:
    host = Host(id="h", protocol=protocol, base_url="http://h.test")
    try:
        chat_codec(host).encode_request(ASKED[said], host)
        refused = False
    except NotExpressible:
        refused = True
    assert refused is (said in UNSUPPORTED_TOOL_CHOICES.get(protocol, ()))
