"""The cost model: tokens, money, seconds and memory of single calls. Pure functions of sizes and rates.

It knows nothing of routes: adding calls up and choosing among them is the planner's.

tokens.py, text_factors.py            tokens of text, speech, pages, by counted or estimated vocabularies
image_tokens.py                       tokens of pictures, read and generated, by the rule of a model's family
token_rules.py                        tokens of sound, video and documents, and the rules that an endpoint counts by
tool_tokens.py                        tokens of tool definitions and of answer schemas
rule_syntax.py                        rule strings of the catalog
token_counts.py, usage_price.py       every part of a request counted, and billed
token_calibration.py, sibling_statistics.py   what earlier runs taught about an endpoint, and about its model elsewhere
answer_length.py                      how long an answer will be
rates.py, call_cost.py                an endpoint's price and speed, and what one call takes
request_limits.py, context_window.py, memory.py   what a vendor refuses, what a server holds, what fits
levels.py                             low, mid and high as plain floats
"""
