"""The cost model: tokens, money, seconds and memory of single calls. Pure functions of sizes and rates.

It knows nothing of routes: adding calls up and choosing among them is the planner's.

tokens.py, text_factors.py            tokens of text, speech, pages, by counted or estimated vocabularies
image_tokens.py, image_rules/         tokens of pictures, by the rule of a model's family
audio_tokens.py, video_tokens.py, document_tokens.py, generated_image_tokens.py   the same of other media
tool_tokens.py                        tokens of tool definitions and of answer schemas
rule_syntax.py, token_rules.py        rule strings of the catalog, and the rules by which an endpoint counts
token_counts.py, usage_price.py       every part of a request counted, and billed
token_calibration.py, sibling_statistics.py   what earlier runs taught about an endpoint, and about its model elsewhere
answer_length.py                      how long an answer will be
rates.py, call_prices.py, call_seconds.py     an endpoint's price and speed, and what one call takes
request_limits.py, context_window.py, memory.py   what a vendor refuses, what a server holds, what fits
levels.py                             low, mid and high as plain floats
"""
