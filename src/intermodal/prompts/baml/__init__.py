"""BAML v0 as a format of prompt files, through BAML's own runtime (``baml-py``).

reader.py           the format; ``client<llm>`` as models and sampling; ``test`` blocks as examples
declarations.py     functions, classes, enums, clients and tests of a file, with their lines; types as JSON Schema
template_limits.py  what a template may hold, how long rendering may take, the length of ``ctx.output_format``
runtime.py          the runtime: validates, renders without calling, parses answers
"""
