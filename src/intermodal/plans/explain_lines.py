"""Single lines beside a route: data and destinations, other routes, and rejections."""

from __future__ import annotations

import re

from intermodal.plans import numbers
from intermodal.plans.facts import Need
from intermodal.plans.plan import Candidate, Outranked, PartNeeds, Rejected, Send
from intermodal.plans.step import Call, Portion, Step, Transform

# Loopback and private addresses: requests to them go on to where the host row states (a proxy in front of a service).
_NEAR = re.compile(r"localhost\b|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[?::1|\[?f[cd]")


def place(sent: Send) -> str:
    """The host of the URL as people know it; of one near by that stands for another place, that place too."""
    rest = sent.url.partition("://")[2] or sent.url
    where = rest.partition("/")[0] or sent.host
    return f"{where} ({sent.host}, {sent.zone})" if _NEAR.match(where) else where


def brief(candidate: Candidate) -> str:
    """Return a fallback: endpoint, route, losses, cost, destination."""
    figures = f"{numbers.money(candidate.total.cost)}  {numbers.seconds(candidate.total.seconds)}"
    away = _destinations(candidate)
    sends = f"  sends to {away}" if away else ""
    return f"{candidate.endpoint}  {candidate.summary}{missing(candidate)}  {figures}{sends}"


def one_line(candidate: Candidate) -> str:
    """Return the route with its price and seconds, the data that leaves the machine, and its losses, on one line."""
    estimate = candidate.total
    away = _destinations(candidate)
    leaves = f"sends to {away}" if away else "nothing leaves this machine"
    lost = f"; loses {', '.join(candidate.loses)}" if candidate.loses else ""
    figures = f"{numbers.money(estimate.cost)}, {numbers.seconds(estimate.seconds)}"
    return f"{candidate.summary} by {candidate.endpoint or 'no model'}: {figures}; {leaves}{lost}"


def _destinations(candidate: Candidate) -> str:
    """Where a route sends to, each place once; "" where nothing leaves the machine."""
    return ", ".join(dict.fromkeys(map(place, candidate.sends)))


def missing(candidate: Candidate) -> str:
    """Return the needs that a route seems to lose, to follow its summary; "" if none."""
    lost = dict.fromkeys(warning.split(" ", 2)[1] for warning in candidate.warnings if warning.startswith("loses "))
    fewer = "; leaves out pages" if any(warning.startswith("leaves out ") for warning in candidate.warnings) else ""
    return f"{'; loses ' if lost else ''}{', '.join(lost)}{fewer}"


def needs(part_needs: PartNeeds) -> str:
    """Return the question's needs of a part, with the evidence: 'call.wav: tone (0.92, like "Is she angry?")'."""
    words = [_need(need) for need in part_needs.needed]
    if part_needs.unsure:
        words.append(f"unsure: {', '.join(map(_need, part_needs.unsure))}")
    return f"{part_needs.title}: {', '.join(words)}"


def _need(need: Need) -> str:
    evidence = f'{need.score:.2f}, like "{need.like}"' if need.like else "named in the question"
    return f"{need.aspect} ({evidence})"


def outranked(other: Outranked) -> str:
    return f"{other.endpoint}  {other.summary}  {other.reason}"


def rejected(row: Rejected) -> str:
    """Return a reason, and the endpoints it concerns."""
    if row.count == 1 and row.endpoints:
        return f"{row.endpoints[0]}  {row.reason}"
    more = ", …" if row.count > len(row.endpoints) else ""
    names = f" ({', '.join(row.endpoints)}{more})" if row.endpoints else ""
    return f"{row.count:,} endpoints: {row.reason}{names}"


def total(candidate: Candidate) -> str:
    """Return the total of the route: "$0, 16 s (6.1..124), 1.6 s of it loading, memory 5.1 GiB (4.6..6.7)"."""
    estimate = candidate.total
    words = [numbers.money(estimate.cost), numbers.seconds(estimate.seconds)]
    if estimate.load_seconds.high:
        words.append(f"{numbers.plain_seconds(estimate.load_seconds.mid)} s of it loading")
    if estimate.memory.high:
        words.append(f"memory {numbers.memory(estimate.memory)}")
    return ", ".join(words)


def kept(step: Transform | Call) -> str:
    """Return the aspects a step keeps, with their share where counted: "most words (12 of 18 scenes), timing"."""
    partly = {portion.aspect: portion for portion in step.partly}
    return ", ".join(_amount(partly[aspect]) if aspect in partly else aspect for aspect in step.keeps)


def _amount(portion: Portion) -> str:
    surely = {"scenes": "", "seconds": " recognised with confidence before"}.get(portion.unit, " surely read before")
    return f"{portion.amount} {portion.aspect} ({portion.kept:,} of {portion.of:,} {portion.unit}{surely})"


def aspects(step: Transform | Call) -> str:
    kept_, lost = kept(step), ", ".join(step.loses)
    return "; ".join(part for part in (f"keeps {kept_}" if kept_ else "", f"loses {lost}" if lost else "") if part)


def condition(step: Step) -> str:
    """Return the cost of a check that has to act: "up to $0.0003, 8.0 s more if so"; "" for nothing."""
    estimate = step.estimate
    unknown = not estimate.cost.known
    words = ["price unknown" if unknown else f"${numbers.plain_money(estimate.cost.high)}"] if (
        unknown or estimate.cost.high
    ) else []  # fmt: skip
    if estimate.seconds.high:
        words.append(f"{numbers.plain_seconds(estimate.seconds.high)} s")
    return f"up to {', '.join(words)} more" if words else ""
