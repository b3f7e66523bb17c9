"""Connections to hosts: addresses, time limits, and the meaning of each failure.

This package knows no model protocol (``protocols/``), and nothing of plans or accounts (``executor/``). Downloads,
which follow redirects, are not here either: ``local/weights/`` and ``media/`` fetch with httpx.
"""
