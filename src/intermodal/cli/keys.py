"""``intermodal keys``: virtual keys of the gateway: who may ask for what, how much it may cost, how fast."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import click

from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.gateway.ledger.books import Spent
    from intermodal.gateway.ledger.nouns import Budget, VirtualKey
    from intermodal.gateway.ledger.sqlite import SqliteBooks

EPILOG = """\b
Examples
  intermodal keys create app --budget 5/month
  intermodal keys create batch --budget 0.50/day --tokens 2000000/day --rpm 60 --expires 30d
  intermodal keys create kiosk --model qwen/qwen3-8b --policy careful
  intermodal keys create prometheus --metrics
  intermodal keys list
  intermodal keys revoke app
"""
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MOST = 1 << 60  # of any amount: sums of them fit into the store


@click.group(epilog=EPILOG, invoke_without_command=True)
@_JSON
@click.pass_context
def keys(context: click.Context, as_json: bool) -> None:
    """Keys for the gateway: names, expiry, budgets, rates, what may be asked for.

    As long as there is none, `intermodal serve` answers this machine only. Once there was one, every request
    needs a key, also after the last was revoked. Without a verb they are listed.
    """
    if context.invoked_subcommand is None:
        _list(everything=False, as_json=as_json)


@keys.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "--budget",
    "money",
    multiple=True,
    metavar="USD[/PERIOD]",
    help="Money it may spend: 5/month, 0.50/day, 2/hour, 20/total; repeatable.  [default period: month]",
)
@click.option(
    "--tokens",
    multiple=True,
    metavar="N[/PERIOD]",
    help="Tokens it may take, in and out: 2000000/day; repeatable.  [default period: month]",
)
@click.option("--rpm", type=click.IntRange(1, 10**9), default=None, metavar="N", help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(1, 10**12), default=None, metavar="N", help="Tokens a minute, in and out.")
@click.option("--expires", default="", metavar="WHEN", help="After 30d, 12h, 2w; or on a day, 2027-01-31 (UTC).")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="What it may ask for: a model, vendor/* or auto; repeatable.  [default: anything]",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME",
    help="Policy of the config it may ask for; repeatable.  [default: any]",
)
@click.option("--metrics", is_flag=True, help="It reads /metrics, and may ask for nothing: for a Prometheus.")
@_JSON
def create(**given: Any) -> None:
    """Make a key. The secret is printed once, on standard output; only its hash is kept."""
    import time

    from intermodal.gateway.ledger.minting import SHOWN, digest, mint, new_id
    from intermodal.gateway.ledger.nouns import Rate, VirtualKey

    now, secret = time.time(), mint()
    key = VirtualKey(
        id=new_id(),
        name=_name(given["name"]),
        digest=digest(secret),
        start=secret[:SHOWN],
        created=now,
        expires=_when(given["expires"], now),
        budgets=_budgets(given["money"], given["tokens"]),
        rate=Rate(rpm=given["rpm"], tpm=given["tpm"]),
        models=_names(given["models"], "--model"),
        policies=_names(given["policies"], "--policy"),
        metrics=_alone(given),
    )
    books = _books()
    try:
        books.add(key)
    finally:
        books.close()
    if given["as_json"]:
        from intermodal.cli.document import print_document

        print_document("key", {"secret": secret, **_told(key, {}, now)})
        return
    click.echo(secret)
    click.echo(f"key {key.name}: {_limits(key)}; kept as a hash, so it is not shown again", err=True)


@keys.command("list", epilog=EPILOG)
@click.option("--all", "everything", is_flag=True, help="Revoked keys too.")
@_JSON
def list_keys(everything: bool, as_json: bool) -> None:
    """List the keys, their limits, and what each has spent of its budgets."""
    _list(everything=everything, as_json=as_json)


def _list(*, everything: bool, as_json: bool) -> None:
    import time

    books, now = _books(), time.time()
    try:
        found = [key for key in books.every_key() if everything or key.revoked is None]
        spent = {(row.account, row.start): row for row in books.spent()}
    finally:
        books.close()
    told = [_told(key, spent, now) for key in found]
    if as_json:
        from intermodal.cli.document import print_document

        print_document("keys", {"keys": told})
        return
    if not told:
        click.echo("no keys; the gateway answers this machine only (make one: intermodal keys create NAME)", err=True)
        return
    from intermodal.cli.table import echo_table

    echo_table(
        ("key", "begins", "state", "may ask for", "a minute", "spent"),
        [(key.name, f"{key.start}…", row["state"], _asks(key), _rate(key), _spent(row["spending"]))
         for key, row in zip(found, told, strict=True)],
    )  # fmt: skip


@keys.command(epilog=EPILOG)
@click.argument("name")
@_JSON
def revoke(name: str, as_json: bool) -> None:
    """Take a key back, by its name or its first characters. Running gateways refuse it within a tenth of a second."""
    import time

    now, books = time.time(), _books()
    try:
        key = _find(name, books.every_key())
        books.revoke(key.id, now)
    finally:
        books.close()
    if as_json:
        from intermodal.cli.document import print_document

        print_document("key", {"name": key.name, "id": key.id, "state": "revoked"})
    else:
        click.echo(f"key {key.name}: revoked")


def _books() -> SqliteBooks:
    from intermodal.config import data_dir
    from intermodal.gateway.ledger.sqlite import FILE, SqliteBooks

    return SqliteBooks(data_dir(os.environ) / FILE)


def _find(name: str, known: tuple[VirtualKey, ...]) -> VirtualKey:
    """By its name, or by at least six of the first characters of the secret."""
    live = [key for key in known if key.revoked is None]
    found = [key for key in live if key.name == name] or [
        key for key in live if len(name) >= 6 and (key.start.startswith(name) or name.startswith(key.start))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} keys begin with that", where="keys revoke", todo="give its name")
    if any(key.name == name for key in known):
        raise UsageError(f"key {name!r} is revoked already", where="keys revoke", todo="see: intermodal keys list")
    raise UsageError(f"no key is called {shown(name)!r}", where="keys revoke", todo="see: intermodal keys list")


def shown(name: str) -> str:
    """A secret that was given where a name is wanted is not said again."""
    from intermodal.gateway.ledger.minting import PREFIX, SHOWN

    return f"{name[:SHOWN]}…" if name.startswith(PREFIX) else name


# ---- what was given --------------------------------------------------------------------------------


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"a key cannot be called {shown(text)!r}",
            where="keys create",
            todo="use up to 64 letters, digits, dots, dashes and @",
        )
    return text


def _alone(given: dict[str, Any]) -> bool:
    """Whether it is a key for counts; such a key spends nothing, so nothing else can be said of it."""
    others = {"--budget": "money", "--tokens": "tokens", "--rpm": "rpm", "--tpm": "tpm", "--model": "models",
              "--policy": "policies"}  # fmt: skip
    said = [option for option, name in others.items() if given[name]]
    if given["metrics"] and said:
        raise UsageError(
            f"a key for /metrics may ask for nothing, so {said[0]} says nothing of it", where="keys create --metrics",
            todo="make two keys",
        )  # fmt: skip
    return bool(given["metrics"])


def _names(given: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in given))
    for name in names:
        if not name or name.rstrip("*").count("*") or len(name) > 200 or not name.isprintable():
            raise UsageError(f"{name!r} is no name", where=option, todo="write a model's name, or vendor/*")
    return names


def _budgets(money: tuple[str, ...], tokens: tuple[str, ...]) -> tuple[Budget, ...]:
    from intermodal.gateway.ledger.nouns import PERIODS, Budget, nano

    made: list[Budget] = []
    for unit, option, texts in (("usd", "--budget", money), ("tokens", "--tokens", tokens)):
        for text in texts:
            amount, _, period = text.strip().partition("/")
            period = period.strip().lower() or "month"
            try:
                number = float(amount.strip().removeprefix("$").replace("_", "").replace(",", ""))
            except ValueError:
                number = -1.0
            limit = -1 if not 0 <= number < _MOST else nano(number) if unit == "usd" else int(number)
            if period not in PERIODS or not 0 <= limit < _MOST:
                raise UsageError(
                    f"{text!r} is no budget",
                    where=option,
                    todo=f"write an amount and one of {', '.join(PERIODS)}: {'5' if unit == 'usd' else '2000000'}/day",
                )
            if any(budget.unit == unit and budget.period == period for budget in made):
                raise UsageError(f"there are two budgets for one {period}", where=option, todo="give one of them")
            made.append(Budget(unit=unit, limit=limit, period=period))  # type: ignore[arg-type]
    return tuple(made)


def _when(text: str, now: float) -> float | None:
    """Seconds since the epoch."""
    if not text:
        return None
    from datetime import UTC, datetime

    after = _DURATION.fullmatch(text.strip().lower())
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


# ---- what is shown ---------------------------------------------------------------------------------


def _told(key: VirtualKey, spent: dict[tuple[str, str], Spent], now: float) -> dict[str, Any]:
    return {
        "name": key.name,
        "id": key.id,
        "begins": key.start,
        "state": _state(key, now),
        "created": _stamp(key.created),
        "expires": _stamp(key.expires),
        "revoked": _stamp(key.revoked),
        "models": list(key.models),
        "policies": list(key.policies),
        "metrics": key.metrics,
        "rpm": key.rate.rpm,
        "tpm": key.rate.tpm,
        "spending": _spending(key, spent, now),
    }


def _spending(key: VirtualKey, spent: dict[tuple[str, str], Spent], now: float) -> list[dict[str, Any]]:
    """Each budget with what is spent of it in this period; without one of a unit, what was taken this month."""
    from intermodal.gateway.ledger.nouns import NANO
    from intermodal.gateway.ledger.periods import span

    lines: list[tuple[str, str, int | None]] = [(each.unit, each.period, each.limit) for each in key.budgets]
    for unit in ("usd", "tokens"):
        if not any(line[0] == unit for line in lines):
            lines.append((unit, "month", None))
    told = []
    for unit, period, limit in lines:
        start, _ = span(period, now)  # type: ignore[arg-type]
        row = spent.get((f"{key.id}/{unit}/{period}", start))
        scale = NANO if unit == "usd" else 1
        told.append(
            {
                "unit": unit,
                "period": period,
                "since": start,
                "limit": None if limit is None else limit / scale,
                "spent": row.spent / scale if row else 0,
                "set_aside": row.held / scale if row else 0,
                "unknown": row.unknown / scale if row else 0,
            }
        )
    month, _ = span("month", now)
    unpriced = spent.get((f"{key.id}/unpriced/month", month))
    if unpriced and unpriced.spent:
        told.append({"unit": "unpriced", "period": "month", "since": month, "limit": None, "spent": unpriced.spent,
                     "set_aside": 0, "unknown": 0})  # fmt: skip
    return told


def _state(key: VirtualKey, now: float) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and now >= key.expires else "active"


def _stamp(seconds: float | None) -> str:
    from datetime import UTC, datetime

    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _asks(key: VirtualKey) -> str:
    names = ["/metrics alone"] if key.metrics else [*key.models, *(f"policy:{name}" for name in key.policies)]
    return ", ".join(names) if names else "anything"


def _rate(key: VirtualKey) -> str:
    said = [f"{number:,} {unit}" for number, unit in ((key.rate.rpm, "requests"), (key.rate.tpm, "tokens")) if number]
    return ", ".join(said) or "-"


def _spent(spending: list[dict[str, Any]]) -> str:
    from intermodal.cli.table import money

    said = []
    for each in spending:
        amount = money if each["unit"] == "usd" else lambda number: f"{number:,.0f}"
        of = "" if each["limit"] is None else f" of {amount(each['limit'])}"
        unit = {"usd": "", "tokens": " tokens", "unpriced": " requests of unknown price"}[each["unit"]]
        when = {"total": "in all", "day": "today"}.get(each["period"], f"this {each['period']}")
        said.append(f"{amount(each['spent'])}{of}{unit} {when}")
    return "; ".join(said)


def _limits(key: VirtualKey) -> str:
    from intermodal.gateway.ledger.saying import said as amount

    said = [f"{amount(each.unit, each.limit)} {'in all' if each.period == 'total' else f'a {each.period}'}"
            for each in key.budgets]  # fmt: skip
    said += [] if _rate(key) == "-" else [f"{_rate(key)} a minute"]
    said += [] if key.expires is None else [f"until {_stamp(key.expires)}"]
    return ", ".join([*said, f"may ask for {_asks(key)}"])
