"""Charts and pages: SVG as text and HTML files that load nothing, drawn from reports.

Belongs here: how a report looks. Does not belong here: measurements (``evaluation/``) or decisions (``advisor/``).

- one file a report, with its chart and its page: ``advice``, ``bench``, ``evaluation``, ``fit``
- parts: ``html`` (tables, style, the small pages), ``scatter_chart``
"""
