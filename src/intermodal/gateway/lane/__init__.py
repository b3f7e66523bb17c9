"""The pass-through lane: requests whose plan is one call on the wire the client speaks already.

Their bytes go on as they came, but for the model's name; the answer's come back the same way. Everything else that a
run owes is done here too: the plan, what is set aside for it, breakers, rows, metrics. What the lane cannot do as the
executor does it, the executor does: ``way.py`` says which requests these are.
"""
