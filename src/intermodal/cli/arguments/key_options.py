"""Options of ``keys create`` and ``keys set``, and the limits they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intermodal.cli.arguments.request_options import with_all
from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.gateway.quotas.quota_types import Budget

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MOST = 1 << 60  # of any amount: sums of them fit into the store


class RateLimitOption(click.ParamType[int]):
    """A whole number from 1 on; ``none`` is 0, where a limit may be taken away."""

    name = "number"

    def __init__(self, most: int, *, none: bool) -> None:
        self._most, self._none = most, none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).replace("_", "").replace(",", "")
        if self._none and text.lower() == "none":
            return 0
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= self._most):
            self.fail(f"{value!r} is no number of 1 to {self._most:,}{', nor none' if self._none else ''}", param, ctx)
        return int(text)


def limit_options(*, changing: bool) -> Callable[[F], F]:
    """The options that say a key's limits. ``changing``: what is left out stays, and a word takes a limit away."""

    def words(text: str, usual: str, away: str) -> str:
        return f"{text}; {away} takes it away." if changing else f"{text}{usual}"

    monthly = ".  [default period: month]"
    options = [
        click.option("--budget", "money", multiple=True, metavar="USD[/PERIOD]", help=words(
            "Money it may spend: 5/month, 0.50/day, 2/hour, 20/total; repeatable", monthly, "none")),
        click.option("--tokens", multiple=True, metavar="N[/PERIOD]", help=words(
            "Tokens it may take, in and out: 2000000/day; repeatable", monthly, "none")),
        click.option("--rpm", type=RateLimitOption(10**9, none=changing), default=None, metavar="N",
                     help=words("Requests a minute", ".", "none")),
        click.option("--tpm", type=RateLimitOption(10**12, none=changing), default=None, metavar="N",
                     help=words("Tokens a minute, in and out", ".", "none")),
        click.option("--expires", default="", metavar="WHEN",
                     help=words("After 30d, 12h, 2w; or on a day, 2027-01-31 (UTC)", ".", "never")),
        click.option("--model", "models", multiple=True, metavar="NAME", help=words(
            "What it may ask for: a model, vendor/* or auto; repeatable", ".  [default: anything]", "any")),
        click.option("--policy", "policies", multiple=True, metavar="NAME", help=words(
            "Policy of the config it may ask for; repeatable", ".  [default: any]", "any")),
    ]  # fmt: skip

    return with_all(options)


def removes_limit(given: tuple[str, ...], word: str, option: str) -> bool:
    """Whether a limit is to be taken away. Raises UsageError where one is said beside that."""
    if word not in (each.strip().lower() for each in given):
        return False
    if len(given) > 1:
        raise UsageError(f"{word} stands beside others", where=option, todo=f"say {word} alone, or leave it out")
    return True


def shown(name: str) -> str:
    """A secret that was given where a name is wanted is not said again."""
    from intermodal.gateway.quotas.key_generation import PREFIX, SHOWN_CHARACTERS

    return f"{name[:SHOWN_CHARACTERS]}…" if name.startswith(PREFIX) else name


def name_of(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"a key cannot be called {shown(text)!r}",
            where="keys create",
            todo="use up to 64 letters, digits, dots, dashes and @",
        )
    return text


def names_of(given: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in given))
    for name in names:
        if not name or name.rstrip("*").count("*") or len(name) > 200 or not name.isprintable():
            raise UsageError(f"{name!r} is no name", where=option, todo="write a model's name, or vendor/*")
    return names


def budgets_of(money: tuple[str, ...], tokens: tuple[str, ...]) -> tuple[Budget, ...]:
    from intermodal.gateway.quotas.quota_types import PERIODS, Budget, to_nanodollars

    made: list[Budget] = []
    for unit, option, texts in (("usd", "--budget", money), ("tokens", "--tokens", tokens)):
        for text in texts:
            amount, _, period = text.strip().partition("/")
            period = period.strip().lower() or "month"
            try:
                number = float(amount.strip().removeprefix("$").replace("_", "").replace(",", ""))
            except ValueError:
                number = -1.0
            limit = -1 if not 0 <= number < _MOST else to_nanodollars(number) if unit == "usd" else int(number)
            if unit == "tokens" and limit != number:  # half a token is a slip, as of 1.5 million
                limit = -1
            if period not in PERIODS or not 0 <= limit < _MOST:
                raise UsageError(
                    f"{text!r} is not a budget",
                    where=option,
                    todo=f"write an amount and one of {', '.join(PERIODS)}: {'5' if unit == 'usd' else '2000000'}/day",
                )
            if any(budget.unit == unit and budget.period == period for budget in made):
                raise UsageError(f"there are two budgets for one {period}", where=option, todo="give one of them")
            made.append(Budget(unit=unit, limit=limit, period=period))  # type: ignore[arg-type]
    return tuple(made)


def time_of(text: str, now: float) -> float | None:
    """Seconds since the epoch."""
    if not text:
        return None
    from datetime import UTC, datetime

    after = _DURATION.fullmatch(text.strip().lower())
    if after and not float(after[1]):
        raise UsageError(f"{text} is over at once", where="--expires", todo="write a time to come: 30d, 12h")
    if after:
        return now + float(after[1]) * _SECONDS[after[2]]
    try:
        day = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no time", where="--expires", todo="write 30d, 12h or 2027-01-31") from None
    then = (day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp()
    if then <= now:
        raise UsageError(f"{text} is past", where="--expires", todo="write a day to come")
    return then
