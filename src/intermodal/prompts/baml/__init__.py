"""BAML v0 as a format of prompt files, through BAML's own runtime (``baml-py``).

declarations.py  what a file declares: functions, classes, enums, clients, tests, with their lines
kinds.py         its types as JSON Schema, and as arguments of a prompt
clients.py       its ``client<llm>`` as a preference for a model and as sampling; what is not taken over
templates.py     what a template may hold, and how long rendering it may take
runtime.py       the runtime: validates, renders without calling, parses answers
reader.py        the format
"""
