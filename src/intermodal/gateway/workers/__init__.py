"""Several processes behind one address (``intermodal serve --workers N``).

    supervisor.py ── starts, watches, ends ──▶ N workers, each a whole gateway with its own sockets (``sockets.py``)
                                               └─ shared_state.py: the state they share, in shared memory

The parent plans no requests and answers no clients. Keys, budgets, rate limits and Idempotency-Key are in the quota
store, which all processes share. Shared memory holds conversations, plans, items and counters.
"""
