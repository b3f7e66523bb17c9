"""Monthly cost of a workload: one kind of request, how often it comes, and the plans that are compared.

Belongs here: workload documents, their plans and their bills. Does not belong here: a single call (``estimates.py``).

- ``workload``: the document of a workload, as a value
- ``monthly_cost``: its plans at the prices of its day, and their bills with tables and a chart
"""
