"""Converts a priced route to a ``Candidate`` of a plan: steps, estimates, checks, inputs, and data sent.

candidate_builder.py    the candidate, and the parts that go in unconverted
step_builder.py         the steps before the last call
quality_checks.py       checks and what their escalation costs
egress.py               everything that leaves this machine
"""
