"""Prompt files: a file and its arguments become a request, which is planned as any other.

file.py        what a prompt file is, whatever its format: arguments, output, wishes, a template
formats.py     which format reads a file, those of plugins included
source.py      the text of a file, with its front matter and the lines of it
handlebars.py  a template of Handlebars: what it uses, and rendering it within bounds
picoschema.py  dotprompt's short schemas as JSON Schema
dotprompt.py   Google's ``.prompt``
litellm.py     LiteLLM's dialect of it
github.py      GitHub's ``.prompt.yml``
prompty.py     Microsoft's ``.prompty``
poml.py        Microsoft's ``.poml``: poml_expansion.py puts values in, markup.py reads tags, expressions.py evaluates,
               poml_folder.py lists a folder
baml/          BAML v0, through its own runtime
jinja.py       a template of Jinja, rendered within bounds
rendering.py   what both kinds of templates have in common: bounds, errors with a line
values.py      arguments held against what the file declares
bound.py       file and arguments as a request
imagined.py    the same before there are arguments
call.py        a prompt file with a client: planned, explained, run
findings.py    what is wrong with a file before anybody runs it

Planner and executor know none of this: they get a request.
"""
