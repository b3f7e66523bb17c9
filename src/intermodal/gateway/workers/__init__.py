"""Several processes behind one address (``intermodal serve --workers N``).

    supervisor.py ── starts, watches, ends ──▶ N workers, each a whole gateway with its own sockets (``sockets.py``)
                                                └─ shared_state.py: what they know of each other, in shared memory

The parent plans nothing and answers nobody. Keys, budgets, rate limits and Idempotency-Key are in the quota store,
which all processes share. Shared memory holds conversations, plans, items and counters.
"""
