"""The state that the gateway keeps in memory between requests: bounded, and shared among workers if there are several.

conversations.py    what later turns of a conversation refer to: endpoint, items of answers, signatures of calls
plan_cache.py       plans by the shape of a request; plan_history.py: plans by id
"""
