"""BAML v0 as a format of prompt files, using BAML's own runtime (``baml-py``).

reader.py           the format; ``client<llm>`` as models and sampling; ``test`` blocks as examples
declarations.py     functions, classes, enums, clients and tests of a file, with their lines; types as JSON Schema
template_limits.py  allowed template constructs, limits on rendering, the length of ``ctx.output_format``
runtime.py          the runtime: validates, renders without calling, parses answers
"""
