"""intermodal plans and runs any request on whatever foundation models you have.

    import intermodal

    answer = intermodal.ask("What is the total?", "invoice.png")
    print(answer.text)

All names are imported lazily, on first access, so that ``import intermodal`` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intermodal._version import __version__

if TYPE_CHECKING:
    from intermodal.advisor.advice import Advice
    from intermodal.advisor.advise import advise
    from intermodal.catalog.types import Endpoint
    from intermodal.client.async_client import Answer, AsyncClient
    from intermodal.client.estimates import Estimate
    from intermodal.client.request_builder import make_request
    from intermodal.client.sync_client import Client, ask
    from intermodal.core.content import Audio, BytesSource, Document, File, Image, PathSource, Text, UrlSource
    from intermodal.core.request import (
        EmbeddingOutput,
        ImageOutput,
        JsonOutput,
        Message,
        Policy,
        Request,
        Sampling,
        ScoresOutput,
        SpeechOutput,
        TextOutput,
        TranscriptOutput,
    )
    from intermodal.errors import (
        BudgetExceeded,
        CallError,
        ConfigError,
        ContentRefused,
        ContextExceeded,
        CredentialsRefused,
        DoesNotFit,
        InputBroken,
        InputEmpty,
        InputEncrypted,
        InputError,
        InputMissing,
        InputTooLarge,
        InputUnreadable,
        InputUnsupported,
        IntermodalError,
        NoContentFound,
        NoRoute,
        NotInstalled,
        OutputInvalid,
        OutputUnchecked,
        Overloaded,
        PlanStale,
        PromptError,
        RateLimited,
        RequestTooLarge,
        RuntimeCrashed,
        SchemaInvalid,
        StoreError,
        StreamCut,
        UnknownModel,
        Unreachable,
        UnsupportedModality,
        UrlBlocked,
        UsageError,
        WeightsError,
    )
    from intermodal.events import Event, FieldEvidence, Replanned, Result, fold
    from intermodal.plans.analyze import explain_analyze
    from intermodal.plans.explain import explain
    from intermodal.plans.plan import Inputs, Plan, SavedPlan
    from intermodal.workloads.monthly_cost import MonthlyCost

_HOME = {
    "Advice": "advisor.advice", "advise": "advisor.advise",
    "Answer": "client.async_client", "AsyncClient": "client.async_client", "Client": "client.sync_client",
    "Endpoint": "catalog.types",
    **dict.fromkeys(
        ("Audio", "BytesSource", "Document", "File", "Image", "PathSource", "Text", "UrlSource"), "core.content"
    ),
    **dict.fromkeys(
        (
            "BudgetExceeded", "CallError", "ConfigError", "ContentRefused", "ContextExceeded",
            "CredentialsRefused", "DoesNotFit", "InputBroken", "InputEmpty", "InputEncrypted",
            "InputError", "InputMissing", "InputTooLarge", "InputUnreadable", "InputUnsupported",
            "IntermodalError", "NoContentFound", "NoRoute", "NotInstalled", "OutputInvalid",
            "OutputUnchecked", "Overloaded", "PlanStale", "PromptError", "RateLimited", "RequestTooLarge",
            "RuntimeCrashed", "SchemaInvalid", "StoreError", "StreamCut", "UnknownModel", "Unreachable",
            "UnsupportedModality", "UrlBlocked", "UsageError", "WeightsError",
        ),
        "errors",
    ),
    "Estimate": "client.estimates", "MonthlyCost": "workloads.monthly_cost",
    "Event": "events", "FieldEvidence": "events", "Replanned": "events", "Result": "events", "fold": "events",
    "Inputs": "plans.plan", "Plan": "plans.plan", "SavedPlan": "plans.plan",
    **dict.fromkeys(
        (
            "EmbeddingOutput", "ImageOutput", "JsonOutput", "Message", "Policy", "Request", "Sampling", "ScoresOutput",
            "SpeechOutput", "TextOutput", "TranscriptOutput",
        ),
        "core.request",
    ),
    "ask": "client.sync_client", "explain": "plans.explain", "explain_analyze": "plans.analyze",
    "make_request": "client.request_builder",
}  # fmt: skip

__all__ = [
    "Advice", "Answer", "AsyncClient", "Audio", "BudgetExceeded", "BytesSource", "CallError", "Client", "ConfigError",
    "ContentRefused", "ContextExceeded", "CredentialsRefused", "Document", "DoesNotFit", "EmbeddingOutput", "Endpoint",
    "Estimate", "Event", "FieldEvidence", "File", "Image", "ImageOutput", "InputBroken", "InputEmpty", "InputEncrypted",
    "InputError", "InputMissing", "InputTooLarge", "InputUnreadable", "InputUnsupported", "Inputs", "IntermodalError",
    "JsonOutput", "Message", "MonthlyCost", "NoContentFound", "NoRoute", "NotInstalled", "OutputInvalid",
    "OutputUnchecked", "Overloaded", "PathSource", "Plan", "PlanStale", "Policy", "PromptError", "RateLimited",
    "Replanned", "Request", "RequestTooLarge", "Result", "RuntimeCrashed", "Sampling", "SavedPlan", "SchemaInvalid",
    "ScoresOutput", "SpeechOutput", "StoreError", "StreamCut", "Text", "TextOutput", "TranscriptOutput", "UnknownModel",
    "Unreachable", "UnsupportedModality", "UrlBlocked", "UrlSource", "UsageError", "WeightsError", "advise", "ask",
    "explain", "explain_analyze", "fold", "make_request",
    "__version__",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'intermodal' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"intermodal.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
