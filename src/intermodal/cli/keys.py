"""``intermodal keys``: virtual keys of the gateway, with their models, budgets and rate limits."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intermodal.cli.arguments.request_options import with_all
from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.gateway.quotas.quota_store import AccountSpending
    from intermodal.gateway.quotas.quota_types import Budget, VirtualKey
    from intermodal.gateway.quotas.sqlite_store import SqliteQuotaStore

F = TypeVar("F", bound=Callable[..., Any])
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MOST = 1 << 60  # the largest amount, so that sums of amounts fit into the store


class RateLimitOption(click.ParamType[int]):
    """Accept a whole number from 1; ``none`` stands for 0 if the limit may be removed."""

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
    """Return the options for the limits of a key.

    ``changing``: limits that are left out stay unchanged, and "none" removes a limit.
    """

    def words(text: str, usual: str, removal_word: str) -> str:
        return f"{text}; {removal_word} takes it away." if changing else f"{text}{usual}"

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
            "Allowed models: a model, vendor/* or auto; repeatable",
            ".  [default: anything, unless --policy is given]", "any")),
        click.option("--policy", "policies", multiple=True, metavar="NAME", help=words(
            "Policy of the config it may ask for; repeatable", ".  [default: any, unless --model is given]", "any")),
    ]  # fmt: skip

    return with_all(options)


def removes_limit(words: tuple[str, ...], word: str, option: str) -> bool:
    """Return whether a limit is to be removed. Raises UsageError if values are given as well."""
    if word not in (each.strip().lower() for each in words):
        return False
    if len(words) > 1:
        raise UsageError(f"{word} stands beside others", where=option, todo=f"say {word} alone, or leave it out")
    return True


def printed_name(name: str) -> str:
    """Return a name for printing; a secret that was given in place of a name is shortened."""
    from intermodal.gateway.quotas.authentication import PREFIX, SHOWN_CHARACTERS

    return f"{name[:SHOWN_CHARACTERS]}…" if name.startswith(PREFIX) else name


def name_of(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise UsageError(
            f"a key cannot be called {printed_name(text)!r}",
            where="keys create",
            todo="use up to 64 letters, digits, dots, dashes and @",
        )
    return text


def names_of(words: tuple[str, ...], option: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in words))
    for name in names:
        if not name or name.rstrip("*").count("*") or len(name) > 200 or not name.isprintable():
            raise UsageError(f"{name!r} is no name", where=option, todo="write a model's name, or vendor/*")
    return names


def budgets_of(money: tuple[str, ...], tokens: tuple[str, ...]) -> tuple[Budget, ...]:
    from intermodal.gateway.quotas.quota_types import PERIODS, Budget, to_nanodollars

    budgets: list[Budget] = []
    for unit, option, texts in (("usd", "--budget", money), ("tokens", "--tokens", tokens)):
        for text in texts:
            amount, _, period = text.strip().partition("/")
            period = period.strip().lower() or "month"
            try:
                number = float(amount.strip().removeprefix("$").replace("_", "").replace(",", ""))
            except ValueError:
                number = -1.0
            limit = -1 if not 0 <= number < _MOST else to_nanodollars(number) if unit == "usd" else int(number)
            # A fraction of a token is a typing mistake, as in 1.5 for 1.5 million.
            if unit == "tokens" and limit != number:
                limit = -1
            if period not in PERIODS or not 0 <= limit < _MOST:
                raise UsageError(
                    f"{text!r} is not a budget",
                    where=option,
                    todo=f"write an amount and one of {', '.join(PERIODS)}: {'5' if unit == 'usd' else '2000000'}/day",
                )
            if any(budget.unit == unit and budget.period == period for budget in budgets):
                raise UsageError(f"there are two budgets for one {period}", where=option, todo="give one of them")
            budgets.append(Budget(unit=unit, limit=limit, period=period))  # type: ignore[arg-type]
    return tuple(budgets)


def time_of(text: str, now: float) -> float | None:
    """Return a time in seconds since the epoch; None for an empty text."""
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


# ---- verbs ------------------------------------------------------------------------------------------

EPILOG = """\b
Examples
  intermodal keys create app --budget 5/month
  intermodal keys create batch --budget 0.50/day --tokens 2000000/day --rpm 60 --expires 30d
  intermodal keys create kiosk --model qwen/qwen3-8b --policy careful
  intermodal keys create prometheus --metrics
  intermodal keys list
  intermodal keys set app --budget 20/month --rpm none
  intermodal keys revoke app
"""
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(epilog=EPILOG, invoke_without_command=True)
@_JSON
@click.pass_context
def keys(context: click.Context, as_json: bool) -> None:
    """Keys for the gateway: names, expiry, budgets, rates, allowed models.

    Without any key, `intermodal serve` answers this machine only. Once a key was created, every request needs one,
    even after the last key is revoked. Without a verb, the keys are listed.
    """
    if context.invoked_subcommand is None:
        _list(everything=False, as_json=as_json)


@keys.command(epilog=EPILOG)
@click.argument("name")
@limit_options(changing=False)
@click.option("--metrics", is_flag=True, help="A key that only reads /metrics, for Prometheus.")
@_JSON
def create(**options: Any) -> None:
    """Create a key. The secret is printed once, on standard output; only its hash is kept."""
    import time

    from intermodal.gateway.quotas.authentication import SHOWN_CHARACTERS, digest, new_id, new_secret
    from intermodal.gateway.quotas.quota_types import RateLimit, VirtualKey

    now, secret = time.time(), new_secret()
    key = VirtualKey(
        id=new_id(),
        name=name_of(options["name"]),
        digest=digest(secret),
        start=secret[:SHOWN_CHARACTERS],
        created=now,
        expires=time_of(options["expires"], now),
        budgets=budgets_of(options["money"], options["tokens"]),
        rate=RateLimit(rpm=options["rpm"], tpm=options["tpm"]),
        models=names_of(options["models"], "--model"),
        policies=names_of(options["policies"], "--policy"),
        metrics=_is_statistics_key(options),
    )
    quota_store = _quota_store()
    try:
        quota_store.add(key)
    finally:
        quota_store.close()
    _warn_of_unknown_names(key)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("key", {"secret": secret, **_key_fields(key, {}, now)})
        return
    click.echo(secret)
    click.echo(f"key {key.name}: {_limits(key)}; kept as a hash, so it is not shown again", err=True)


@keys.command("list", epilog=EPILOG)
@click.option("--all", "everything", is_flag=True, help="Revoked keys too.")
@_JSON
def list_keys(everything: bool, as_json: bool) -> None:
    """List the keys, their limits, and the spending of each budget."""
    _list(everything=everything, as_json=as_json)


def _list(*, everything: bool, as_json: bool) -> None:
    import time

    quota_store, now = _quota_store(), time.time()
    try:
        found = [key for key in quota_store.every_key() if everything or key.revoked is None]
        spent = {(row.account, row.start): row for row in quota_store.spending()}
    finally:
        quota_store.close()
    documents = [_key_fields(key, spent, now) for key in found]
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("keys", {"keys": documents})
        return
    if not documents:
        click.echo("no keys; the gateway answers this machine only (create one: intermodal keys create NAME)", err=True)
        return
    from intermodal.cli.rendering.tables import echo_table

    echo_table(
        ("key", "begins", "state", "may ask for", "a minute", "spent"),
        [(key.name, f"{key.start}…", row["state"], _allowed_names_text(key), _rate(key),
          _format_spending(row["spending"]))
         for key, row in zip(found, documents, strict=True)],
    )  # fmt: skip


@keys.command("set", epilog=EPILOG)
@click.argument("name")
@limit_options(changing=True)
@_JSON
def set_limits(**options: Any) -> None:
    """Change the limits of a key, given by its name or its first characters; limits not given stay.

    A given limit replaces the former ones: --budget all budgets in money, --model all models. Running gateways apply it
    within a tenth of a second. Past spending still counts.
    """
    import time

    now = time.time()
    edit = _edit(options, now)
    quota_store = _quota_store()
    try:
        key = quota_store.change(_find_key(options["name"], quota_store.every_key(), "keys set").id, edit)
        spent = {(row.account, row.start): row for row in quota_store.spending()}
    finally:
        quota_store.close()
    _warn_of_unknown_names(key)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("key", _key_fields(key, spent, now))
    else:
        click.echo(f"key {key.name}: {_limits(key)}")


def _warn_of_unknown_names(key: VirtualKey) -> None:
    """Print which allowed names are unknown today, because they are misspelt or not yet configured."""
    if not key.models and not key.policies:
        return
    import asyncio

    from intermodal.errors import IntermodalError
    from intermodal.gateway.config_check import check_virtual_keys as checked
    from intermodal.gateway.server_client import ServerClient

    async def remarks() -> list[str]:
        async with ServerClient() as client:
            await client.known.scan()
            return [f"note: {each.where}: {each.what}; {each.todo}" for each in checked(client, (key,))]

    try:
        for remark in asyncio.run(remarks()):
            click.echo(remark, err=True)
    except IntermodalError as error:  # the key is created in any case
        click.echo(f"note: whether its names are known cannot be told: {error.wording_for('command line')}", err=True)


def _edit(options: dict[str, Any], now: float) -> Callable[[VirtualKey], VirtualKey]:
    """Return a function that changes a key. Raises UsageError for invalid changes, or if there are none."""
    from msgspec.structs import replace

    money, tokens, models, policies = (options[name] for name in ("money", "tokens", "models", "policies"))
    fields: dict[str, Any] = {}
    units = {"usd": money, "tokens": tokens}
    amounts = [
        () if removes_limit(each, "none", option) else each
        for option, each in (("--budget", money), ("--tokens", tokens))
    ]
    budgets = budgets_of(*amounts)
    if options["expires"]:
        fields["expires"] = (
            None if removes_limit((options["expires"],), "never", "--expires") else time_of(options["expires"], now)
        )
    for name, option, names in (("models", "--model", models), ("policies", "--policy", policies)):
        if names:
            fields[name] = () if removes_limit(names, "any", option) else names_of(names, option)
    rates = {name: options[name] or None for name in ("rpm", "tpm") if options[name] is not None}
    if not (fields or rates or any(units.values())):
        raise UsageError("no change is given", where="keys set", todo="say --budget, --rpm, …")

    def edit(key: VirtualKey) -> VirtualKey:
        if key.metrics and (fields.keys() - {"expires"} or rates or any(units.values())):
            raise UsageError(
                "a key for /metrics cannot send requests", where="keys set", todo="say no more than --expires"
            )
        unchanged = tuple(budget for budget in key.budgets if not units[budget.unit])
        return replace(key, budgets=(*unchanged, *budgets), rate=replace(key.rate, **rates), **fields)

    return edit


@keys.command(epilog=EPILOG)
@click.argument("name")
@_JSON
def revoke(name: str, as_json: bool) -> None:
    """Revoke a key, by its name or its first characters. Running gateways refuse it within a tenth of a second."""
    import time

    now, quota_store = time.time(), _quota_store()
    try:
        key = _find_key(name, quota_store.every_key(), "keys revoke")
        quota_store.revoke(key.id, now)
    finally:
        quota_store.close()
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("key", {"name": key.name, "id": key.id, "state": "revoked"})
    else:
        click.echo(f"key {key.name}: revoked")


def _quota_store() -> SqliteQuotaStore:
    from intermodal.config.config_file import data_dir
    from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore

    return SqliteQuotaStore(data_dir(os.environ) / FILE)


def _find_key(name: str, virtual_keys: tuple[VirtualKey, ...], verb: str) -> VirtualKey:
    """Return the key with this name, or with at least the first six characters of its secret."""
    live = [key for key in virtual_keys if key.revoked is None]
    found = [key for key in live if key.name == name] or [
        key for key in live if len(name) >= 6 and (key.start.startswith(name) or name.startswith(key.start))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{len(found)} keys begin with that", where=verb, todo="give its name")
    if any(key.name == name for key in virtual_keys):
        raise UsageError(f"key {name!r} is revoked already", where=verb, todo="see: intermodal keys list")
    raise UsageError(f"no key is called {printed_name(name)!r}", where=verb, todo="see: intermodal keys list")


def _is_statistics_key(cli_options: dict[str, Any]) -> bool:
    """Return whether the key is for statistics; such a key spends nothing and has no limits."""
    others = {"--budget": "money", "--tokens": "tokens", "--rpm": "rpm", "--tpm": "tpm", "--model": "models",
              "--policy": "policies"}  # fmt: skip
    options = [option for option, name in others.items() if cli_options[name]]
    if cli_options["metrics"] and options:
        raise UsageError(
            f"a key for /metrics cannot send requests, so {options[0]} has no effect",
            where="keys create --metrics",
            todo="create two keys",
        )
    return bool(cli_options["metrics"])


# ---- output ----------------------------------------------------------------------------------------


def _key_fields(key: VirtualKey, spent: dict[tuple[str, str], AccountSpending], now: float) -> dict[str, Any]:
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


def _spending(key: VirtualKey, spent: dict[tuple[str, str], AccountSpending], now: float) -> list[dict[str, Any]]:
    """Return each budget with its spending in this period; for a unit without a budget, this month's usage."""
    from intermodal.gateway.quotas.quota_types import NANODOLLARS, period_at

    lines: list[tuple[str, str, int | None]] = [(each.unit, each.period, each.limit) for each in key.budgets]
    for unit in ("usd", "tokens"):
        if not any(line[0] == unit for line in lines):
            lines.append((unit, "month", None))
    texts = []
    for unit, period, limit in lines:
        start, _ = period_at(period, now)  # type: ignore[arg-type]
        row = spent.get((f"{key.id}/{unit}/{period}", start))
        scale = NANODOLLARS if unit == "usd" else 1
        texts.append(
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
    month, _ = period_at("month", now)
    unpriced = spent.get((f"{key.id}/unpriced/month", month))
    if unpriced and unpriced.spent:
        texts.append({"unit": "unpriced", "period": "month", "since": month, "limit": None, "spent": unpriced.spent,
                     "set_aside": 0, "unknown": 0})  # fmt: skip
    return texts


def _state(key: VirtualKey, now: float) -> str:
    if key.revoked is not None:
        return "revoked"
    return "expired" if key.expires is not None and now >= key.expires else "active"


def _stamp(seconds: float | None) -> str:
    from datetime import UTC, datetime

    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _allowed_names_text(key: VirtualKey) -> str:
    names = ["/metrics alone"] if key.metrics else [*key.models, *(f"policy:{name}" for name in key.policies)]
    return ", ".join(names) if names else "anything"


def _rate(key: VirtualKey) -> str:
    parts = [f"{number:,} {unit}" for number, unit in ((key.rate.rpm, "requests"), (key.rate.tpm, "tokens")) if number]
    return ", ".join(parts) or "-"


def _format_spending(spending: list[dict[str, Any]]) -> str:
    from intermodal.cli.rendering.tables import money

    parts = []
    for each in spending:
        amount = money if each["unit"] == "usd" else lambda number: f"{number:,.0f}"
        limit_text = "" if each["limit"] is None else f" of {amount(each['limit'])}"
        unit = {"usd": "", "tokens": " tokens", "unpriced": " requests of unknown price"}[each["unit"]]
        when = {"total": "in all", "day": "today"}.get(each["period"], f"this {each['period']}")
        parts.append(f"{amount(each['spent'])}{limit_text}{unit} {when}")
    return "; ".join(parts)


def _limits(key: VirtualKey) -> str:
    from intermodal.gateway.quotas.quota_errors import format_amount as amount

    parts = [f"{amount(each.unit, each.limit)} {'in all' if each.period == 'total' else f'a {each.period}'}"
            for each in key.budgets]  # fmt: skip
    parts += [] if _rate(key) == "-" else [f"{_rate(key)} a minute"]
    parts += [] if key.expires is None else [f"until {_stamp(key.expires)}"]
    return ", ".join([*parts, f"may ask for {_allowed_names_text(key)}"])
