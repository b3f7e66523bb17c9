"""Labels as captions, the form that contrastive models were trained with."""

from __future__ import annotations

import re

# As in OpenAI's notebook on prompts for CLIP, and on the pages of SigLIP's models.
TEMPLATE = "a photo of {}."
_WHOLE = re.compile(r"\b(photo|photograph|picture|image|drawing|painting|screenshot)s?\b", re.I)
_ARTICLE_OR_NUMBER = re.compile(r"(an?|the|one|two|three|four|five|six|many|several|some|no)\s", re.I)


def caption(label: str) -> str:
    """Return a label as a caption. An article is added unless the label has one or a number, or is a caption already.

    >>> caption("cat"), caption("a red star"), caption("a drawing of a cat")
    ('a photo of a cat.', 'a photo of a red star.', 'a drawing of a cat.')
    """
    label = label.strip().rstrip(".")
    if _WHOLE.search(label):
        return f"{label}."
    if not _ARTICLE_OR_NUMBER.match(label):
        label = f"{'an' if label[:1].lower() in 'aeiou' else 'a'} {label}"
    return TEMPLATE.format(label)
