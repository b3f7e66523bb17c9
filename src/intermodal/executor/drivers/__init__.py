"""One driver per protocol: it makes a call and returns the result.

A driver is loaded when its protocol is first used.
"""
