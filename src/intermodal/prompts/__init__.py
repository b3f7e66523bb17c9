"""Prompt files: a file and its arguments become a request, which is planned as any other.

Here belongs what all formats have in common, and a format that is one file. A format of several is a folder.

file.py        what a prompt file is, whatever its format: arguments, output, wishes, a template
formats.py     which format reads a file, those of plugins included
source.py      the text of a file, with its front matter and the lines of it
dotprompt/     Google's ``.prompt``, and LiteLLM's dialect of it
github.py      GitHub's ``.prompt.yml``
prompty.py     Microsoft's ``.prompty``
poml/          Microsoft's ``.poml``
baml/          BAML v0, through its own runtime
jinja.py       a template of Jinja, rendered within bounds
rendering.py   what templates have in common: bounds, marks, errors with a line
declared.py    arguments as a schema and a template of Handlebars declare them
wishes.py      what a file wishes for: options of the policy, how the answer is drawn
media.py       media that a file or a value names
values.py      arguments held against what the file declares; nested.py media within them
bound.py       file and arguments as a request
imagined.py    the same before there are arguments; trial.py renders so
call.py        a prompt file with a client: planned, explained, run; blocking.py and verb.py are how clients have it
findings.py    what is wrong with a file before anybody runs it
folder.py      a folder of files, as it is on disk
conversion/    files of one format as files of another

Planner and executor know none of this: they get a request.
"""
