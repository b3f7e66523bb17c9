"""Bytes to hosts and back: connections, addresses, time limits, and the meaning of each failure.

No protocol of a model is known here (``protocols/``), and nothing of plans or accounts (``executor/``). Downloads,
which follow redirects, are not here either: ``local/weights/`` and ``media/`` fetch with httpx.
"""
