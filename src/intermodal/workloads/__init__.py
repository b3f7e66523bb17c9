"""Monthly cost of a workload: one kind of request, how often it comes, and the plans that are compared.

Belongs here: workload documents, their plans and their bills. Does not belong here: a single call (``estimates/``).

- input: ``workload``, ``workload_types``, ``workload_file``, ``located_document``
- bills: ``monthly_cost`` plans a workload at the prices of its day, ``bills`` adds up and shows tables and a chart
"""
