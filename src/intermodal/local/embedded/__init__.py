"""Runtimes in child processes of ours. Each module is one: ``python -m intermodal.local.embedded.X``."""
