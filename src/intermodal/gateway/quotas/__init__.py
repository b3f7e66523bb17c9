"""Virtual keys, budgets, rate limits and idempotency of the gateway, without HTTP.

authentication.py   the key that a request presents; key_generation.py: how keys are made
quota_manager.py    admits requests, settles their cost; in memory: budget_leases.py, lease_journal.py
quota_store.py      the state that worker processes share, as an interface; sqlite_store.py keeps it in one file
token_buckets.py    rate limits
idempotency.py      replies stored under an Idempotency-Key
quota_types.py      the values that all of these exchange, and periods of budgets; quota_errors.py: refusals in words
"""
