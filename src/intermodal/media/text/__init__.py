"""Processes text from media and prompts. Pure: no file is opened here.

invisible_characters.py  removes characters that cannot be seen
script_counts.py         amount of each script in a text, from which tokens are estimated
subtitle_cues.py         cues of subtitle files
tool_definitions.py      tool definitions and schemas, as the text that a model receives
"""
