"""Exact token counts on this machine: one module per kind of vocabulary.

``token_counter`` is the entry point; it returns None if the count cannot be exact. Estimates are in ``cost_model``.
"""
