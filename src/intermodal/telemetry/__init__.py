"""OpenTelemetry spans and metrics of runs and requests, off unless enabled.

``signals.py`` turns a run's ``events`` into spans. ``request_record.py`` collects the facts about one gateway request,
for its log line and its span; it imports no SDK. Only
``otlp_export.py`` opens connections. ``activation.py`` decides whether telemetry is on.
"""
