"""Prompt files: a file and its arguments become a request, which is planned as any other.

Everything that formats share is here, and formats of one file; a format of several files is a folder. Planner and
executor know nothing of prompt files.

prompt_file.py       ``PromptFile``, ``Argument``, and the contract of a format
formats.py           which format reads a file, plugins included
source_text.py       the text of a file, its front matter and their lines
dotprompt/, poml/, baml/, github.py, prompty.py   the formats
jinja.py             Jinja templates, rendered within bounds
rendering.py         what templates share: bounds, placeholders, errors with a line
argument_values.py   arguments from a schema or from a template, and values checked against them
prompt_options.py    options of the policy and sampling that a file sets
media_references.py  media that a file or a value names, within values too
sample_arguments.py  values in place of arguments that are not given, and rendering with them
prompt.py            a file and values to a request; a prompt file with a client: plan, explain, run
lint.py              problems of a file before it is run
prompt_folder.py     a folder of files, read again when they change
conversion/          files of one format to files of another
"""
