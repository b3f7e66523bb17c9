"""Text about servers that were discovered on this machine, and about what they claim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from intermodal.catalog.capability_lessons import CapabilityLesson
    from intermodal.catalog.discovered_servers import DiscoveredModel, DiscoveredServer
    from intermodal.catalog.host_rows import DiscoveryRules
    from intermodal.catalog.types import Endpoint
    from intermodal.client.async_client import AsyncClient

MOST = 12  # the most models of one server that are shown; --json has all


def find_local_servers(client: AsyncClient, *, rescan: bool = False) -> tuple[DiscoveredServer, ...]:
    """Return the servers that run now; this takes a second at most."""
    import anyio

    async def look() -> tuple[DiscoveredServer, ...]:
        return await client.known.scan(rescan=rescan)

    return anyio.run(look)


def title(server: DiscoveredServer) -> str:
    from intermodal.catalog.shipped_rows import shipped_rows

    names = {row.id: row.name for row in shipped_rows().hosts}
    return f"{names.get(server.kind, 'a server')} {server.version}".strip()


def forwarding_host(server: DiscoveredServer) -> str:
    """Return the host to which a server forwards requests."""
    rules = _rules(server)
    return rules.forwards if rules is not None else server.kind


def unusable(server: DiscoveredServer) -> str:
    """Return why a server of this kind is not used; "" if it is used."""
    rules = _rules(server)
    return rules.unusable if rules is not None else ""


def _rules(server: DiscoveredServer) -> DiscoveryRules | None:
    from intermodal.catalog.shipped_rows import shipped_rows

    return next((row.discovery for row in shipped_rows().hosts if row.id == server.kind), None)


def model_words(model: DiscoveredModel) -> str:
    """Return a server's facts about a model in one line."""
    from intermodal.cli.rendering.tables import count

    words = [f"takes {'+'.join(model.input)}" if model.input else _MAKES.get(model.makes, "does not report its inputs")]
    trained = f" of {count(model.trained)}" if model.trained and model.context and model.trained > model.context else ""
    if model.context:
        words.append(f"context {count(model.context)}{trained}")
    elif model.trained:
        words.append(f"context up to {count(model.trained)}")
    if model.loaded is not None:
        words.append("loaded" if model.loaded else "not loaded")
    if model.elsewhere:
        words.append(f"computes elsewhere ({model.elsewhere})")
    return ", ".join([*words, *model.contradictions])


_MAKES = {
    "embedding": "makes embeddings",
    "transcript": "transcribes speech",
    "image": "generates images",
    "other": "is not asked for anything here",
}


def lessons_of(endpoints: Iterable[Endpoint], client: AsyncClient) -> Iterator[CapabilityLesson]:
    """Yield the findings about endpoints that are still valid."""
    from intermodal.core.today import today

    day, by_id = today(), {endpoint.id: endpoint for endpoint in endpoints}
    for lesson in client.known.lessons:
        if lesson.endpoint in by_id and lesson.holds_of(by_id[lesson.endpoint], day):
            yield lesson


def lesson_words(lesson: CapabilityLesson) -> str:
    does = "takes" if lesson.about not in ("json",) else "forces"
    verb = does if lesson.holds else f"does not {does.rstrip('s')}"
    source = "a probe" if lesson.level == "probed" else "a call"
    message = f": {lesson.message}" if lesson.message else ""
    return f"{verb} {lesson.about}, by {source} of {lesson.day}{message}"


def server_claims(endpoint: Endpoint, servers: tuple[DiscoveredServer, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield every claim of the server behind an endpoint: its subject, value and source."""
    from intermodal.catalog.discovered_servers import server_root

    for server in servers:
        if not endpoint.host.base_url or server_root(endpoint.host.base_url) != server.address:
            continue
        for model in server.models:
            if model.name == (endpoint.served_as or endpoint.model.id):
                for claim in model.claims:
                    yield claim.about, claim.says, f"{title(server)}, {claim.source}, {server.date[:10]}"
                for words in model.contradictions:
                    yield "contradiction", words, f"{title(server)}, {server.date[:10]}"


__all__ = [
    "MOST",
    "lesson_words",
    "lessons_of",
    "find_local_servers",
    "model_words",
    "forwarding_host",
    "server_claims",
    "title",
]
