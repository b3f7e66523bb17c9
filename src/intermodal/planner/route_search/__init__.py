"""Branch and bound: finds the best routes without pricing every endpoint with every combination of options.

search.py               the search, and its queue of groups by lower bound
lower_bounds.py         the bounds
assignment_pools.py     assignments shared by endpoints with equal inputs and token rules
objectives.py           the key that orders routes
"""
