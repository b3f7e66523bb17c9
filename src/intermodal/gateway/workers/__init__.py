"""Several processes behind one address (``intermodal serve --workers N``).

    supervisor.py ── starts, watches, ends ──▶ N workers, each a whole gateway with its own sockets (``sockets.py``)
                                             └─ what they know of each other: ``shared_state.py``, one file in memory

The parent plans nothing and answers nobody. Keys, budgets, rates and Idempotency-Key are the ledger's, which every
process shares, a worker or not. What is shared besides: where conversations were, plans, and counts.
"""
