"""Charts and pages: SVG as text and HTML files that load nothing, drawn from reports.

Belongs here: how a report looks. Does not belong here: what is measured (``evaluation/``) or decided (``advisor/``).

- parts: ``html`` (tables, style), ``scatter_chart``, ``volume_chart``
- charts: ``advice_chart``, ``bench_chart``, ``fit_chart``
- pages: ``advice_page``, ``cost_page``, ``evaluation_page``, ``search_page``
"""
