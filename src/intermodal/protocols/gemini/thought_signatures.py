"""Google's thought signatures: Gemini 3 refuses the first call of a turn that comes back without its signature.

Source: Google's page "Thought Signatures" (https://ai.google.dev/gemini-api/docs/thought-signatures). Here a signature
    is a block that precedes its part. The only client API with a field for it is Google's own form of OpenAI chat:
    ``tool_calls[].extra_content.google.thought_signature`` (the same page, "OpenAI compatibility").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from intermodal.core.content import Opaque, ToolCall
from intermodal.protocols.framing.json_body import as_mapping, as_text, dumps, loads

OWN = "gemini"  # of content.Opaque
FIELD = "thoughtSignature"
# For calls by another model, or with a lost signature: the same page's "FAQs", and Google Cloud's page of that name
# (https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures), give this value.
PLACEHOLDER = "skip_thought_signature_validator"


def signature_block(signature: str) -> Opaque:
    """Return the block that precedes the part that it signs."""
    return Opaque(wire=OWN, body=dumps({FIELD: signature}).decode())


def signature_of(part: object) -> str:
    """Return the signature in a block; "" for any other part."""
    if not isinstance(part, Opaque) or part.wire != OWN:
        return ""
    block = loads(part.body)
    return as_text(block[FIELD]) if set(block) == {FIELD} else ""


def signatures_by_call(parts: Iterable[object]) -> dict[str, str]:
    """Return the signatures of tool calls, by call id."""
    found: dict[str, str] = {}
    before = ""
    for part in parts:
        if before and isinstance(part, ToolCall):
            found[part.id] = before
        before = signature_of(part)
    return found


def openai_chat_fields(signature: str) -> dict[str, Any]:
    """Return the additional fields of a call in OpenAI chat; {} without a signature."""
    return {"extra_content": {"google": {"thought_signature": signature}}} if signature else {}


def from_openai_chat(extra_content: Any) -> str:
    """Return the signature in ``extra_content`` of a call in OpenAI chat; "" if there is none."""
    return as_text(as_mapping(as_mapping(extra_content).get("google")).get("thought_signature"))
