"""The gateway, ``intermodal serve``: everything before it behind the APIs that clients already speak.

    connection ─ guard ─▶ doors ─▶ chats … ─▶ AsyncClient ─▶ told ─▶ reply

``connection.py`` is HTTP and knows no door; ``doors.py`` is the table of paths; ``dialects.py`` says which codec of
``protocols/`` speaks behind a path. Who may come in is ``guard.py``; what a request may ask for is ``naming.py``.
"""
