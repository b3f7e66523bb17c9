"""Branch and bound: find the best routes without pricing every endpoint with every combination of options.

search.py               the search             search_queue.py        groups of endpoints, by their lower bound
lower_bounds.py         the bounds             assignment_pools.py    assignments shared by endpoints alike
combinations.py         which options to combine        objectives.py          the key that orders routes
"""
