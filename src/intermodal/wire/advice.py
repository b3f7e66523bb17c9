"""What our errors and notes advise, in words of whoever asked over HTTP: fields and headers, and no command line.

Errors are written where they arise, for whoever reads them first: a person at a terminal. A program that asked a
server has no options to give; it has fields, headers (``x-intermodal-…``), and somebody whose server it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_OWNER = "in the server's config"
_ALIASES = f"; what else this name is to mean can be said in [serve.aliases] {_OWNER}"
# An option -> what a client sets in its place, or what is to be set in the config.
OPTIONS: Mapping[str, str] = {
    "at-least": "x-intermodal-at-least",
    "base-url": f"base_url of the host {_OWNER}",
    "date": "the date",
    "deadline": "x-intermodal-deadline",
    "format": "response_format",
    "free-tiers": f"free_tiers {_OWNER}, or the model by its name",
    "host": f"consent for a host {_OWNER}",
    "keep": "x-intermodal-keep",
    "language": "x-intermodal-language",
    "local": "x-intermodal-farthest: machine",
    "max-cost": f"x-intermodal-max-cost, or max_cost {_OWNER}",
    "max-tokens": "max_tokens",
    "model": "model",
    "objective": "x-intermodal-objective",
    "pages": "pages",
    "private": "x-intermodal-private",
    "retention": f"retention {_OWNER}",
    "licence": f"licence {_OWNER}",
    "region": f"regions {_OWNER}",
    "release": f"release of a policy {_OWNER}",
}
# Whole phrases, and options with the value that they are given. The first that fits is taken.
_PHRASES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), said)
    for pattern, said in (
        (r"--host (\S+) or --host (\S+) for this once, or", r"\1 or \2, which whoever runs the server can do:"),
        (
            r"--host \S+ for this once, or (intermodal hosts add [^\s;,()]*[^\s;,().])",
            r"whoever runs the server can give it (\1)",
        ),
        (r"--host (\S+)", r"intermodal hosts add \1"),
        (r"(intermodal (?:pull|eval|explain|keys \w+ \S+|hosts add \S+))(?: --[a-z-]+(?: [A-Z]+\b)?)+", r"\1"),
        (r"(intermodal pull [^\s;,()]+) --accept-unpinned", r"\1"),
        (r"(did you mean [^;]+\?) See intermodal models\b(?! \w)", rf"\1 See /v1/models{_ALIASES}"),
        (r"(say which: .+)$", rf"\1{_ALIASES}"),
        (r"([Ss]ee):? intermodal models\b(?! \w)", r"\1 /v1/models"),
        (r"\(intermodal models(?: NAME)?\)", "(see /v1/models)"),
        (r"pass (?:a local file by its path|the path itself)", "send its bytes in the request"),
        (r"choose pages \(--pages\)", "send fewer pages"),
        (r" \(--pages\)", ""),
        (r"release it with --release (\S+?)(?=[).,; ]|$)", rf'release = ["\1"] in a policy {_OWNER} releases it'),
        (r"--(at-least|language|objective) (?=[a-z]+\b)(?!out\b)", r"x-intermodal-\1: "),
    )
)
_OF_THE_COMMAND_LINE = re.compile(
    r"say which: |(?<![\w-])--[a-z]|intermodal models\b|local file by its path|the path itself"
)
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)")
_QUOTED = re.compile(r'("[^"]*")')


def for_clients(text: str) -> str:
    """A sentence of ours without words of the command line. What a host said, in quotes, stays as it was said.

    >>> for_clients("would cost up to $0.2; raise --max-cost")
    "would cost up to $0.2; raise x-intermodal-max-cost, or max_cost in the server's config"
    """
    if _OF_THE_COMMAND_LINE.search(text) is None:
        return text
    pieces = _QUOTED.split(text)
    return "".join(piece if number % 2 else _said(piece) for number, piece in enumerate(pieces))


def _said(piece: str) -> str:
    for pattern, said in _PHRASES:
        piece = pattern.sub(said, piece)
    return _OPTION.sub(_of_the_table, piece)


def _of_the_table(option: re.Match[str]) -> str:
    name = option[1]
    return OPTIONS.get(name, name.replace("-", "_"))
