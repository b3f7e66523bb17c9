"""The direct path: chats whose plan is one call on a host that speaks the client's own API.

The client's bytes go to the host with the host's model name and the plan's token limit, and the reply's bytes go back
as they arrive (``executor/direct/``). Budgets, circuit breakers, accounting, rows, metrics and spans are those of the
executor and the gateway. ``compiled_plan.not_direct`` determines which chats need more; the executor answers those.

engine, compiled_plan, direct_attempt      which chats are direct, their plan compiled once, one attempt
text_size_cache                            sizes of texts that come again
handover                                   an attempt that the executor continues
attempt_ids, attempt_writer                rows of the store, written in batches
"""
