"""Privacy labels: which parts a label covers, and what a release permits.

A label names a kind or a file. It covers parts of that kind or name, and everything extracted from a file of that kind
or name, at any nesting depth. Only a release of the private file itself permits anything: releasing an email's text
does not release a private document attached to it, nor vice versa.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from intermodal.core.content import KINDS
from intermodal.core.request import Policy
from intermodal.plans.facts import PartFacts

_KINDS = frozenset(KINDS)
# Kinds of parts that are a document's own content. A recording attached to an email is separate: "document:text" does
# not cover it.
_CONTENT = ("text", "image")
# A label for the inner kind also covers the outer one.
INSIDE: dict[str, tuple[str, ...]] = {"video": ("audio", "image")}
_OLDER_NAME = re.compile(r"\bpicture(?=( \d+)?( \(\d+\))?$)")  # of an image in a file or a chat, which is now "image 1"


def same_name(label: str, name: str) -> bool:
    """Return whether a label equals a name, or the last component of its path."""
    return label == name or name.rsplit("/", 1)[-1] in _last_names(label)


def label_matches(label: str, name: str) -> bool:
    """Return whether a private label matches a name, the last component of its path, or the last part of a nested name.

    "call.wav" covers "letter.eml, call.wav". A release must name its subject exactly.
    """
    return same_name(label, name) or name.rsplit(", ", 1)[-1] in _last_names(label)


def _last_names(label: str) -> tuple[str, str]:
    """Return the last component of a label's path, as it is and with the present name of an image in a file."""
    last = label.rsplit("/", 1)[-1]
    return last, _OLDER_NAME.sub("image", last)


def is_private(policy: Policy, part: PartFacts) -> bool:
    """Return whether a part may not leave this machine unconverted."""
    if not policy.private:
        return False
    own, files = _private_names(part), list(_files(part))
    if part.kind in policy.private or _inner(policy, part):
        return True
    if any(same_name(label, name) for label in policy.private for name in own):
        return True
    return any(_is_labelled(policy, file) and not _releases_kind(policy, file, part, part.kind) for file in files)


def may_release(policy: Policy, part: PartFacts, into: str) -> bool:
    """Return whether the result of converting a private part to kind ``into`` may leave this machine."""
    own = (part.kind, *_own_names(part))
    hit = [file for file in _files(part) if _is_labelled(policy, file)]
    if any(not _releases_kind(policy, file, part, into) for file in hit):
        return False
    itself = part.kind in policy.private or any(same_name(label, name) for label in policy.private for name in own[1:])
    called = itself or any(same_name(label, name) for label in policy.private for name in _private_names(part))
    if not itself and (inner := _inner(policy, part)):
        let = all(_releases_track(policy, part, label, into) for label in inner)
        if not let or not called:
            return let
    itself = called
    return (bool(hit) and not itself) or any(
        kind == into and (label == part.kind or any(same_name(label, name) for name in own[1:]))
        for label, kind in _releases(policy)
    )


def _inner(policy: Policy, part: PartFacts) -> tuple[str, ...]:
    """Return the private kinds inside a part: sound and images of a video."""
    return tuple(kind for kind in INSIDE.get(part.kind, ()) if kind in policy.private)


def _releases_track(policy: Policy, part: PartFacts, label: str, into: str) -> bool:
    """Return whether a private inner kind ``label`` permits the result of kind ``into``.

    The other track is not affected by the label. Text may come from either track, so every applicable label must
    release it.
    """
    if into != label and into in INSIDE[part.kind]:
        return True
    return any(
        kind == into and (name in (label, part.kind) or any(same_name(name, each) for each in _own_names(part)))
        for name, kind in _releases(policy)
    )


def _own_names(part: PartFacts) -> tuple[str, ...]:
    """Return the part's own names, without those of the files from which it was extracted."""
    containers = {file[0] for file in _files(part)}
    names = [name for name in part.origins if name not in _KINDS and name not in containers]
    return tuple(names) if part.name in containers else (part.name, *names)


def _private_names(part: PartFacts) -> tuple[str, ...]:
    """Return the names by which a private label may refer to the part, including the last part of its name.

    The last part is excluded if it is a file from which the part was extracted, because a release of that file permits
    the part.
    """
    last = part.name.rsplit(", ", 1)[-1]
    own = _own_names(part)
    return own if last in {file[0] for file in _files(part)} else (*own, last)


def _files(part: PartFacts) -> Iterator[tuple[str, ...]]:
    """Yield the files from which a part was extracted, each as its name and kinds."""
    found: list[str] = []
    for word in (*part.origins, ""):
        if word in _KINDS:
            found.append(word)
            continue
        if len(found) > 1:
            yield tuple(found)
        found = [word]


def _is_labelled(policy: Policy, file: tuple[str, ...]) -> bool:
    name, *kinds = file
    return any(label in kinds or same_name(label, name) for label in policy.private)


def _releases_kind(policy: Policy, file: tuple[str, ...], part: PartFacts, into: str) -> bool:
    name, *kinds = file
    return any(
        kind == into and (same_name(label, name) or (label in kinds and part.kind in _CONTENT))
        for label, kind in _releases(policy)
    )


def _releases(policy: Policy) -> Iterator[tuple[str, str]]:
    for pair in policy.release:
        label, _, kind = pair.rpartition(":")
        yield label, kind
