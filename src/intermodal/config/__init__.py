"""The configuration: ``intermodal.toml`` (``config_file.py``), its tables as types, their JSON Schema, and API keys.

What a host or a model *is* stands in ``catalog/``; the settings of one request are its policy (``core/request.py``).
"""
