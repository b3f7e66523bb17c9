"""Prompt files: a file and its arguments become a request, which is planned like any other.

This package contains what the formats share, and the formats with one module; other formats are subpackages. The
planner and the executor know nothing about prompt files.

    prompt_file.py       ``PromptFile``, ``Argument``, and the contract of a format
    formats.py           which format reads a file, including plugins
    source_text.py       the text of a file, its front matter and line numbers
    dotprompt/, poml/, baml/, github.py, prompty.py   the formats
    jinja.py             Jinja templates, rendered within limits
    rendering.py         shared by templates: limits, placeholders, errors with a line
    argument_values.py   arguments from a schema or a template, and validation of their values
    prompt_options.py    policy and sampling options set by a file
    media_references.py  media named by a file or a value, including nested ones
    sample_arguments.py  sample values for arguments that are not given, and rendering with them
    prompt.py            a file and values to a request; a prompt file with a client: plan, explain, run
    lint.py              problems of a file, before it is run
    prompt_folder.py     a folder of files, reloaded when they change
    conversion/          converts files between formats
"""
