"""The output of verbs: tables, progress lines, JSON documents, and text about models and servers.

- parts: ``tables``, ``progress``, ``json_document``
- rows and text: ``model_rows``, ``server_text``
"""
