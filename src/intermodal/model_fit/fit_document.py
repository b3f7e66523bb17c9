"""The result of ``intermodal fit`` as JSON, in bytes, tokens and seconds; null means unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from intermodal.model_fit.fit import FitCell, FitReport
from intermodal.model_fit.fit_text import verdict
from intermodal.model_fit.ranking import RankedModel
from intermodal.quantity import Quantity
from intermodal.sizing.fit_changes import FitChange
from intermodal.sizing.load_log import TermComparison
from intermodal.sizing.memory_corrections import Correction
from intermodal.sizing.placement import CapacityCheck

FIT_VERSION = 1


def document(report: FitReport) -> dict[str, Any]:
    """Every number of the answer, amounts as ``low``, ``mid``, ``high`` with certainty and basis."""
    settings, shape, found = report.placed.settings, report.placed.shape, report.pace
    return {
        "fit_version": FIT_VERSION,
        "model": report.name,
        "quantization": report.subject.quantization or None,
        "architecture": shape.architecture,
        "parameters": shape.parameters,
        "active_parameters": shape.active,
        "trained_context": shape.context,
        "verdict": report.verdict,
        "sentence": verdict(report),
        "machine": _machine(report),
        "settings": {
            "context": report.context, "slots": settings.slots, "type_k": settings.type_k, "type_v": settings.type_v,
            "gpu_layers": settings.gpu_layers, "host_experts": settings.host_experts,
            "projector": settings.projector is not None, "draft": settings.draft is not None,
        },
        "memory": [
            {"name": term.name, "device": term.device, **plain_amount(term.amount), "source": term.source}
            for term in report.placed.memory.terms
        ],
        "problems": list(report.placed.memory.problems),
        "correction": correction(report.placed.memory.correction),
        "places": [_check(check) for check in report.placed.checks],
        "speed": {
            "prompt": found.prompt, "users": found.users, "bound": found.bound or None,
            "decode": plain_amount(found.decode), "prefill": plain_amount(found.prefill),
            "first_word": plain_amount(found.first_word),
        },
        "largest_context": report.largest or None,
        "table": [_cell(cell) for cell in report.cells],
        "changes": [change_document(change) for change in report.changes],
        "command": report.command,
        "header": {"bytes": report.read, "requests": report.requests},
    }  # fmt: skip


def ranked(found: tuple[RankedModel, ...]) -> dict[str, Any]:
    """The ranking of ``--all``."""
    return {
        "fit_version": FIT_VERSION,
        "models": [
            {
                "name": each.name, "source": each.where, "store": each.store or None, "tier": each.tier or None,
                "evidence": each.evidence or None,
                "exact": each.exact, **_check(each.check), "decode": plain_amount(each.decode), "todo": each.todo,
            }
            for each in found
        ],
    }  # fmt: skip


def _machine(report: FitReport) -> dict[str, Any]:
    machine = report.machine
    return {
        "here": report.here, "cores": machine.cores, "memory": machine.memory or None, "free": machine.free or None,
        "bandwidth": plain_amount(machine.bandwidth),
        "gpus": [
            {
                "name": gpu.name, "memory": gpu.memory, "free": gpu.free, "bandwidth": gpu.bandwidth or None,
                "compute": gpu.compute or None, "watts": gpu.watts or None, "unified": gpu.unified,
                "source": gpu.source,
            }
            for gpu in machine.gpus
        ],
    }  # fmt: skip


def _check(check: CapacityCheck) -> dict[str, Any]:
    return {
        "where": check.where, "verdict": check.verdict, "room": check.room, "certain_room": check.certain,
        "needed": plain_amount(check.needed),
    }  # fmt: skip


def _cell(cell: FitCell) -> dict[str, Any]:
    return {
        "quantization": cell.quantization, "context": cell.context, "verdict": cell.verdict,
        "estimated": cell.estimated, "place": _check(cell.check) if cell.check else None,
    }  # fmt: skip


def change_document(change: FitChange) -> dict[str, Any]:
    """A change, and what to run."""
    return {
        "what": change.what, "gives_up": change.gives_up, "cost": round(change.cost, 4), "room": change.room,
        "needed": plain_amount(change.needed), "decode": plain_amount(change.decode), "command": change.command,
    }  # fmt: skip


def plain_amount(amount: Quantity) -> dict[str, Any]:
    """An amount with its certainty; null where nobody knows."""
    known = amount.known
    return {
        "low": amount.low if known else None, "mid": amount.mid if known else None,
        "high": amount.high if known else None, "certainty": amount.certainty, "basis": amount.basis,
    }  # fmt: skip


def rows(found: Iterable[TermComparison]) -> list[dict[str, Any]]:
    """Predicted beside real: bytes, or tokens where the name says so. ``logged`` is there where a log says it."""
    return [
        {
            "name": row.name, "device": row.device, "predicted": row.predicted.mid, "low": row.predicted.low,
            "high": row.predicted.high, "real": row.real, **({"logged": row.real} if row.source == "log" else {}),
            "source": row.source, "error": row.error, "inside": row.inside,
        }
        for row in found
    ]  # fmt: skip


def correction(found: Correction | None) -> dict[str, Any] | None:
    """What predictions were, or are going to be, mended by."""
    if found is None:
        return None
    return {
        "flags": found.flags, "build": found.build, "taken": found.taken,
        "ratios": [
            {"name": each.name, "device": each.device, "low": each.low, "mid": each.mid, "high": each.high}
            for each in found.ratios
        ],
    }  # fmt: skip
