"""Virtual keys, budgets, rate limits and idempotency of the gateway, independent of HTTP.

authentication.py   the key that a request presents, and how keys are made
quota_manager.py    admits requests and settles their cost; in memory: budget_leases.py, lease_journal.py
quota_store.py      the interface of the state that worker processes share; sqlite_store.py keeps it in one file
token_buckets.py    rate limits
idempotency.py      replies stored under an Idempotency-Key
quota_types.py      the values that these modules exchange, and budget periods; quota_errors.py: refusals in words
"""
