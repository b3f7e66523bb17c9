"""Prompt files of one format to files of another.

convert.py              the whole: read, write, read again, compare by rendering both
template_tree.py        the tree that every template is read into and written from; losses, shapes of arguments
dotprompt.py, prompty.py, poml.py, baml.py   a format each, both ways (prompty: GitHub's too)
front_matter.py         settings, options and schemas beside the template, as YAML
normalized_schema.py    JSON Schema with one spelling for what formats write differently
"""
