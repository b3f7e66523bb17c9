"""The state that the gateway keeps in memory between requests: bounded, and shared among workers if there are several.

conversations.py    which endpoint last answered a conversation
plan_cache.py       plans by the shape of a request; plan_history.py: plans by id
response_items.py   items of answers that clients refer to by id
tool_call_signatures.py  signatures of tool calls, which hosts expect back
"""
