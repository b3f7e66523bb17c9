"""Convert prompt files between formats.

convert.py              the whole process: read, write, read again, compare by rendering both
template_tree.py        the tree that every template is read into and written from; losses, shapes of arguments
dotprompt.py, prompty.py, poml.py, baml.py   one format each, both directions (prompty: GitHub's too)
front_matter.py         settings, options and schemas beside the template, as YAML
normalized_schema.py    JSON Schema with one spelling for constructs that formats write differently
"""
