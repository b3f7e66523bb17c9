"""Failures in both directions: a host's failed reply read as an error, and our errors written as replies."""
