"""dotprompt, Google's ``.prompt``, as a format of prompt files: front matter, schemas, templates.

reader.py           the format, with Picoschema as JSON Schema
handlebars.py       Handlebars templates: what they use, and rendering within bounds
litellm_dialect.py  LiteLLM's dialect
"""
