"""Readers of the published data that a snapshot is built from, one module per package.

They only read data: nothing is imported or run.
"""
