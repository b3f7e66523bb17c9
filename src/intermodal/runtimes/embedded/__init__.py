"""Runtimes that live in child processes of ours. Each module is a child: ``python -m intermodal.runtimes.embedded.X``."""
