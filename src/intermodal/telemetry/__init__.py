"""What runs say of themselves to whoever watches: spans and measures by OpenTelemetry, off unless somebody asks.

``events`` are what it is made of: ``runs.py`` turns them into spans, and nothing else in the package knows of it.
``served.py`` is what a gateway knows of one request, for its log and its span. Only ``exporting.py`` opens connections.
"""
