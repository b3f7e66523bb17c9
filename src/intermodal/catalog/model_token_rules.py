"""The token rules of one model on one date: those of its family, overridden by its own catalog row.

``intermodal estimate`` and plans use the same function, so that both count alike.
"""

from __future__ import annotations

import msgspec

from intermodal.catalog.token_rule_rows import Aspect, ModelFamilies, ModelTokenRules, vocabulary_of
from intermodal.catalog.types import Model

BILLED_BY_LENGTH = "billed by its length, not by tokens"


def token_rules_of(name: str, model: Model | None, families: ModelFamilies, date: str) -> ModelTokenRules:
    """Return the rules of a model on a date; a rule in the model's own catalog row takes precedence over its family's.

    Args:
        name: the name by which its family is looked up. model: its row, None if the catalog has none.

    Raises:
        UsageError: the day is before the first rule of its family.
    """
    found = msgspec.structs.replace(families.sheet(name, date), vocabulary=vocabulary_of(name))
    if model is None:
        return found
    own: dict[Aspect, str] = {}
    if model.image_tokens:
        own["image"] = model.image_tokens
    if model.tokenizer and not found.rules.get("text"):
        own["text"] = model.tokenizer
    if model.tasks == ("automatic-speech-recognition",) and not found.rules.get("audio"):
        own["audio"] = "by_time"
    if not own:
        return found
    source = model.evidence.citation or "its row in the catalog"
    sources: dict[Aspect, str] = {
        aspect: BILLED_BY_LENGTH if rule == "by_time" else source for aspect, rule in own.items()
    }
    return msgspec.structs.replace(found, rules={**found.rules, **own}, sources={**found.sources, **sources})
