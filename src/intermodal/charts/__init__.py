"""Charts and pages drawn from reports: SVG text, and HTML files that load nothing.

This package decides how a report looks. Measurements are in ``evaluation/``, decisions in ``advisor/``.

- one module per report, with its chart and its page: ``advice``, ``bench``, ``evaluation``, ``fit``
- shared: ``html`` (tables, style, the small pages), ``scatter_chart``
"""
