"""Keys, budgets, rates and idempotency of the gateway; no HTTP.

who(headers) ─▶ VirtualKey | Refusal          access.py
admit(key, claim) ─▶ Reservation | Refusal    ledger.py     in memory: till.py, purse.py, journal.py
settle(reservation, cost, tokens)                           shared by the workers: books.py (interface), sqlite.py
release(reservation)
ask(asked) ─▶ Fresh | Replay | Refusal        answers.py    Idempotency-Key
"""
