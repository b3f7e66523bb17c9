"""Codecs: one folder for each protocol, between intermodal's own types and the bytes of a host or a client.

Pure functions and incremental readers live here; nothing opens a connection, waits, or reads a clock.
"""
