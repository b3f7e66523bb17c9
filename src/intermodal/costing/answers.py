"""How long an answer will be, by what the question asks for: as far as words can tell before anything was said.

The measured answers of a small model to 55 questions of the benchmark's written set (``benchmarks/estimates_set.py``):
one word or a name 3 to 40 tokens, facts 8 to 120, one or two sentences 11 to 158, reading aloud 14 to 512,
explanations, stories and reports 75 to 512. Answers of one kind still differ by a factor of 2 to 3 either way, which
the ranges say; statistics of the endpoint's own answers of that kind outrank them (``output_tokens_<kind>``).
"""

from __future__ import annotations

import re

from intermodal.content import Text
from intermodal.request import Request

Kind = str  # a key of TYPICAL
# Tokens: low, typical. The high end is the limit the request sets.
TYPICAL: dict[Kind, tuple[float, float]] = {
    "word": (2.0, 10.0),
    "fact": (8.0, 55.0),
    "sentence": (15.0, 45.0),
    "list": (20.0, 100.0),
    "whole": (14.0, 110.0),
    "long": (60.0, 200.0),
    "other": (8.0, 60.0),
}
# The first that is found counts. English, because that is what was measured; other languages are "other".
_SIGNS: tuple[tuple[Kind, str], ...] = (
    ("word", r"one word|single word|yes or no|true or false|only the (number|name|date|amount)|\btitle\b|\bslogan\b"),
    ("sentence", r"(one|1|two|2|a|a single) (short )?sentences?|\bbriefly\b|in short"),
    ("list", r"\blist\b|\bname (two|three|four|five|six|all|some|\d+)\b|\bbullets?\b|\bsteps\b"),
    ("long", r"\b(explain|describe|summari[sz]e|summary|report|story|essay|letter|e-?mail|poem|compare|discuss|write)\b"
             r"|^why\b|\bhow (do|does|can|to|should)\b|in detail"),
    ("whole", r"what does (this|it) say|\bread\b|\btranslate\b|\btranscribe\b|\bquote\b|what (was|is) (said|written)"),
    ("fact", r"^(who|whom|whose|what|when|where|which|how (much|many|long|old|far))\b"
             r"|^(is|are|was|were|does|did|do|has|have|can)\b"),
)  # fmt: skip
# Each sign holds one of these words: they are looked for first, which takes a twentieth of the time.
_HINTS: dict[Kind, tuple[str, ...]] = {
    "word": ("one word", "single word", "yes or no", "true or false", "only the ", "title", "slogan"),
    "sentence": ("sentence", "briefly", "in short"),
    "list": ("list", "name ", "bullet", "steps"),
    "long": (
        "explain", "describe", "summar", "report", "story", "essay", "letter", "mail", "poem", "compare", "discuss",
        "write", "why", "how ", "in detail",
    ),
    "whole": ("what does ", "read", "translate", "transcribe", "quote", "what was ", "what is "),
    "fact": (
        "who", "what", "when", "where", "which", "how ", "is", "are", "was", "were", "does", "did", "do", "has", "have",
        "can",
    ),
}  # fmt: skip
_KINDS = tuple((kind, _HINTS[kind], re.compile(sign, re.IGNORECASE)) for kind, sign in _SIGNS)
_LOOKED_AT = 400  # characters of the question


def kind_of(question: str) -> Kind:
    """What kind of answer a question asks for.

    >>> [kind_of(q) for q in ("Is it dry? Answer yes or no.", "Who wrote it?", "Why is the sky blue?", "Hm.")]
    ['word', 'fact', 'long', 'other']
    """
    start = question.strip()[:_LOOKED_AT]
    plain = start.lower()
    for kind, hints, sign in _KINDS:
        hinted = plain.startswith(hints) if kind == "fact" else any(hint in plain for hint in hints)
        if hinted and sign.search(start):
            return kind
    return "other"


def asked(request: Request) -> str:
    """The words of the last thing the user said, files left out."""
    for message in reversed(request.messages):
        if message.role == "user":
            return " ".join(part.text for part in message.parts if isinstance(part, Text) and not part.name)
    return ""
