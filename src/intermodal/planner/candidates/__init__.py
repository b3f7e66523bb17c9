"""From a priced route to a ``Candidate`` of a plan: steps with ids, estimates, checks, inputs and what leaves.

candidate_builder.py    the candidate                  step_builder.py         the steps before the last call
quality_checks.py       checks and what their escalation costs     step_ids.py        ids by content
native_inputs.py        parts that go in unconverted   egress.py               everything that leaves this machine
"""
