"""Findings of ``intermodal doctor`` about servers that ``intermodal up`` or a plan started."""

from __future__ import annotations

import os
from collections.abc import Iterator

from intermodal.cli.doctor import DoctorFinding, State


def about_servers() -> Iterator[DoctorFinding]:
    """One finding a server: where it is and what it holds, or why it is not."""
    from intermodal.cli.rendering.tables import held
    from intermodal.cli.up import resident_of
    from intermodal.local.servers.lifecycle import all_servers

    for server in all_servers(os.environ):
        wanted, state = server.wanted, server.state
        if state is not None and server.phase == "ready":
            memory = resident_of(server) or 0
            foreseen = f" ({held(server.memory[2])} at most, {server.foreseen.words})" if server.foreseen else ""
            what = f"{state.base_url}, {held(memory)} of memory{foreseen}, {state.context:,} tokens of context"
            yield DoctorFinding(area="up", name=wanted.name, state="ok", what=what)
        elif server.phase == "failed":
            yield DoctorFinding(
                area="up",
                name=wanted.name,
                state="broken",
                what=state.reason if state is not None else "",
                todo=f"see {server.log}, then: intermodal up {wanted.said}",
            )
        else:
            reason = f": {state.reason}" if state is not None and state.reason else ""
            todo = "" if server.phase in ("starting", "restarting") else "a plan that needs it starts it"
            found: State = "ok" if server.phase != "restarting" else "off"
            yield DoctorFinding(area="up", name=wanted.name, state=found, what=f"{server.phase}{reason}", todo=todo)
