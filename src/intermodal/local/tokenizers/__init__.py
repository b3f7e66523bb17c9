"""Exact token counts on this machine: readers of vocabularies, one kind a module.

``token_counter`` is the entry; it returns None where the count cannot be exact. Estimates are in ``cost_model``.
"""
