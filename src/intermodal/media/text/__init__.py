"""Text that media and prompts are made into. Pure: no file is opened here.

invisible_characters.py  removes characters that nobody sees
script_counts.py         how much of each script a text holds, from which tokens are estimated
subtitle_cues.py         cues of subtitle files
tool_definitions.py      definitions of tools, and schemas, as the text that a model is given
"""
