"""The cost model: tokens, money, seconds and memory of single calls. Pure functions of sizes and rates.

It knows nothing about routes: the planner adds up calls and chooses among them.

tokens.py, text_factors.py            tokens of text, speech and pages, by exact or estimated vocabularies
image_tokens.py                       tokens of input and generated images, by the rule of a model's family
token_rules.py                        tokens of audio, video and documents, and an endpoint's rules for media
tool_tokens.py                        tokens of tool definitions and of answer schemas
rule_syntax.py                        rule strings of the catalog
token_counts.py, usage_price.py       every part of a request counted, and billed
token_calibration.py                  what earlier runs taught about an endpoint
sibling_statistics.py                 and about its model at other endpoints
answer_length.py                      expected length of an answer
rates.py, call_cost.py                an endpoint's price and speed, and the cost of one call
request_limits.py, memory.py          vendor limits, server context, and whether a model fits in memory
levels.py                             low, mid and high as plain floats
"""
