"""``intermodal probe``: test with real requests what an endpoint accepts, and store the result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from intermodal.catalog.capability_lessons import LessonSubject
    from intermodal.catalog.types import Endpoint
    from intermodal.client.async_client import AsyncClient
    from intermodal.evaluation.probe import PlannedProbe, ProbeResult

EPILOG = """\b
Examples
  intermodal probe gemma3:4b
  intermodal probe ollama:google/gemma-3-4b --only image --yes
  intermodal probe my-server:qwen/qwen3-8b --only tools,json --json --yes
"""
_WORDS = {"pdf": "document", "picture": "image", "sound": "audio", "schema": "json"}


@click.command(epilog=EPILOG)
@click.argument("name")
@click.option("--only", multiple=True, metavar="THINGS", help="Of text, image, audio, pdf, tools, json: image,tools")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; send the requests.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def probe(name: str, only: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Test what an endpoint accepts: a tiny real request for each of text, an image, a second of audio, a page of PDF,
    a tool and forced JSON, as far as its protocol can express it.

    The highest possible cost is shown first. Findings are stored with their date, used by every plan, and forgotten
    when the server's version or the model changes.
    """
    import anyio

    from intermodal.cli.rendering.server_text import find_local_servers
    from intermodal.client.async_client import AsyncClient
    from intermodal.evaluation.probe import find_endpoint, plan_probes

    subjects = _parse_subjects(only)
    client = AsyncClient()
    find_local_servers(client)
    endpoint = find_endpoint(name, client.catalog_with((), (name,)))
    plan = plan_probes(endpoint, subjects)
    if not _confirm(plan, yes):
        if as_json:
            from intermodal.cli.rendering.json_document import plain_data, print_document

            print_document("probe", {"planned": plain_data(plan), "asked": False, "found": []})
        return
    found = anyio.run(_probe, client, endpoint, plan, as_json)
    if as_json:
        from intermodal.cli.rendering.json_document import plain_data, print_document

        print_document(
            "probe", {"planned": plain_data(plan), "asked": True, "found": [plain_data(each) for each in found]}
        )
        return
    from intermodal.cli.rendering.tables import echo_table

    rows = [(each.about, _yes_no_unknown(each), each.message) for each in found]
    rows += [(about, "not asked", "this host's protocol cannot express it") for about in plan.unsaid]
    echo_table(("of", endpoint.id, "what was seen"), rows)
    click.echo("kept: plans use it from now on, until the server or the model changes", err=True)


async def _probe(client: AsyncClient, endpoint: Endpoint, plan: PlannedProbe, quiet: bool) -> list[ProbeResult]:
    from contextlib import aclosing

    from intermodal.evaluation.probe import probe as ask

    found: list[ProbeResult] = []
    async with client, aclosing(ask(client, endpoint, plan)) as answers:
        async for each in answers:
            found.append(each)
            if not quiet and sys.stderr.isatty():
                click.echo(f"{each.about}: {_yes_no_unknown(each)}", err=True)
    return found


def _yes_no_unknown(probe_result: ProbeResult) -> str:
    return "not known" if probe_result.holds is None else "yes" if probe_result.holds else "no"


def _parse_subjects(words: tuple[str, ...]) -> tuple[LessonSubject, ...]:
    from intermodal.errors import UsageError
    from intermodal.evaluation.probe import THINGS

    found: list[Any] = []
    for word in (part.strip().lower() for text in words for part in text.split(",") if part.strip()):
        subject = _WORDS.get(word, word)
        if subject not in THINGS:
            todo = "things are text, image, audio, pdf, tools, json"
            raise UsageError(f"nothing named {word!r} can be probed", where="--only", todo=todo)
        found.append(subject)
    return tuple(found)


def _confirm(plan: PlannedProbe, yes: bool) -> bool:
    """Show the requests and their cost, and ask for agreement; without a terminal, only ``--yes`` counts."""
    from intermodal.cli.rendering.tables import money
    from intermodal.config.config_file import zone_words
    from intermodal.errors import UsageError

    costs = "free" if plan.cost == 0 else f"at most {money(plan.cost)}" if plan.cost else "at a price that is not known"
    click.echo(
        f"{len(plan.asks)} requests to {plan.endpoint} ({', '.join(plan.asks)}): {costs}; what is sent "
        f"{zone_words(plan.zone)}. A model that is not loaded is loaded.",  # type: ignore[arg-type]
        err=True,
    )
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("a probe sends real requests; there is no terminal to confirm them", todo="confirm with --yes")
    return click.confirm("Send them?", default=True, err=True)
