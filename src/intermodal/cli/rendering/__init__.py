"""Output of verbs: tables, progress lines, JSON documents, and text about models, servers and evaluations.

- parts: ``tables``, ``progress``, ``json_document``, ``svg_output``, ``image_files``
- rows and text: ``model_rows``, ``server_text``, ``eval_text``
"""
