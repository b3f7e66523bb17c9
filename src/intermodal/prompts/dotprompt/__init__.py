"""dotprompt, Google's ``.prompt``, as a format of prompt files: its front matter, its schemas, its templates.

reader.py      the format
handlebars.py  a template of Handlebars: what it uses, and rendering it within bounds
picoschema.py  short schemas as JSON Schema
litellm.py     LiteLLM's dialect
"""
