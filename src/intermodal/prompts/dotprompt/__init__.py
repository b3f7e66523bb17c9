"""dotprompt, Google's ``.prompt``, as a format of prompt files: front matter, schemas, templates.

reader.py           the format
handlebars.py       Handlebars templates: what they use, and rendering within bounds
picoschema.py       short schemas as JSON Schema
litellm_dialect.py  LiteLLM's dialect
"""
