"""Checks of a request before planning. Endpoints call these; nothing here answers a client.

body_limits.py      how large, deep and long a JSON body may be; multipart.py: forms
origin_policy.py    Host and Origin checks, CORS
request_policy.py   model names as policies, the overrides that tighten them, and the defaults of a chat
prompt_size_check.py  refuses prompts that fit no model without counting all of them
prompt_files.py     prompt files as models; prompt_variables.py: their variables
request_from_call.py  the request of a decoded call
"""
