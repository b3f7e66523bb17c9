"""Connections to hosts: addresses, time limits, and the meaning of each failure.

This package takes requests as ``protocols/`` encodes them, and knows nothing of plans or accounts (``executor/``).
Downloads, which follow redirects, are not here: ``local/weights/`` and ``media/`` fetch with httpx.
"""
