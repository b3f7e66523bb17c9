"""Failures in both directions.

A host's failed reply becomes an error: ``classification.py`` holds the table and applies it, ``retry_after.py`` reads
how long to wait. An error becomes a server's reply: ``responses.py``. What may follow an error is decided in
``executor/attempt/retry.py``, not here.
"""
