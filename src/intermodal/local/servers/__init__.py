"""Servers that intermodal starts: ``intermodal up``, and a run that needs one that is not there.

    up.py ─ takes the lock of a name ─▶ supervisor.py, a small process of its own ─▶ the server
       reads state.json ◀──────────────── writes state.json, restarts, unloads          on loopback, behind a key

What they say to each other is files of a folder of the user's own (``records.py``), so that every process of this user
shares one server, and none has to live for the others.
"""
