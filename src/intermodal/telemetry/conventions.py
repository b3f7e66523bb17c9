"""Names of OpenTelemetry's semantic conventions: for HTTP, and for generative AI as last released (1.41.1).

The latter moved to a registry of their own (open-telemetry/semantic-conventions-genai), which has released nothing yet;
its drafts replace ``gen_ai.client.token.usage``. A test compares names and units here with the published package.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SCHEMA = "https://opentelemetry.io/schemas/1.41.1"

# Our names of operations -> those of the conventions, where they have one. Others keep our name.
OPERATIONS: Mapping[str, str] = {"generate": "chat", "translate": "chat", "describe": "chat", "embed": "embeddings"}
# Ids of hosts that the conventions call by another name; every other host goes by its id.
PROVIDERS: Mapping[str, str] = {"google": "gcp.gemini", "mistral": "mistral_ai", "xai": "x_ai"}
OUTPUTS: Mapping[str, str] = {"speak": "speech", "draw": "image"}
# Attributes of a call -> our names of what its host counted.
COUNTED: Mapping[str, str] = {
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cached_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_tokens",
    "gen_ai.usage.reasoning.output_tokens": "reasoning_tokens",
}
# Of HTTP: other methods are "_OTHER", since a client can make them up.
METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})


class Histogram(NamedTuple):
    """A histogram: name, unit, description, bounds of its buckets as the conventions recommend them."""

    name: str
    unit: str
    about: str
    buckets: tuple[float, ...]


_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
DURATION = Histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS)
TOKENS = Histogram(
    "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used.",
    (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
)  # fmt: skip
FIRST_CHUNK = Histogram(
    "gen_ai.client.operation.time_to_first_chunk", "s",
    "Time to receive the first chunk, measured from when the client issues the generation request to when the first "
    "chunk is received in the response stream.", _SECONDS,
)  # fmt: skip
SERVER_DURATION = Histogram(
    "gen_ai.server.request.duration", "s",
    "Generative AI server request duration such as time-to-last byte or last output token.", _SECONDS,
)  # fmt: skip
FIRST_TOKEN = Histogram(
    "gen_ai.server.time_to_first_token", "s", "Time to generate first token for successful responses.",
    (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)  # fmt: skip
PER_TOKEN = Histogram(
    "gen_ai.server.time_per_output_token", "s",
    "Time per output token generated after the first token for successful responses.",
    (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
)  # fmt: skip
HTTP_DURATION = Histogram(
    "http.server.request.duration", "s", "Duration of HTTP server requests.",
    (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)  # fmt: skip
MEASURES = (DURATION, TOKENS, FIRST_CHUNK, SERVER_DURATION, FIRST_TOKEN, PER_TOKEN, HTTP_DURATION)
COST = "intermodal.cost"
MEDIA = "intermodal.media"
