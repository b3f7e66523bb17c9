"""Processor time of a media worker's process: what its work costs, however busy the machine is."""

from __future__ import annotations

from pathlib import Path

from intermodal.media.worker_client import MediaWorker


def processor_seconds(worker: MediaWorker) -> float:
    """Return the seconds of processor time that the worker's process has used, user and system together."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
