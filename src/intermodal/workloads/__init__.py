"""Monthly cost of a workload: one kind of request, its rate, and the plans that are compared.

A single call is estimated in ``client/estimates.py``.

- ``workload``: the workload document as a value
- ``monthly_cost``: its plans at the prices of its day, and their bills with tables and a chart
"""
