"""The cost of a complete route: tokens, USD, seconds and memory. The formulas of single calls are in the cost model.

routes.py               a route, its numbers, limits and peak memory
assignment.py           one option per bundle, summed, and when its conversions are done
call_demand.py          what the last call has to take, as its server counts
final_call_estimate.py  the answer, its cost and time
image_generation.py     images that are generated
voice.py                an endpoint that speaks an answer; voice_selection.py: which, and at which cost
"""
