"""dotprompt, Google's ``.prompt``, as a format of prompt files: front matter, schemas, templates.

reader.py           the format, with Picoschema as JSON Schema, and LiteLLM's dialect
handlebars.py       Handlebars templates: the names they use, and rendering within limits
"""
