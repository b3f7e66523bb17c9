"""BAML v0 as a format of prompt files, through BAML's own runtime (``baml-py``).

reader.py           the format
declarations.py     functions, classes, enums, clients and tests of a file, with their lines
baml_types.py       BAML's types as JSON Schema, and as arguments of a prompt
clients.py          ``client<llm>`` as models and sampling; what is not taken over
template_limits.py  what a template may hold, and how long rendering may take
format_size.py      the length of ``ctx.output_format``
examples.py         ``test`` blocks
runtime.py          the runtime: validates, renders without calling, parses answers
"""
