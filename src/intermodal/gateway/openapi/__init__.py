"""The OpenAPI document of the gateway: made of the tables that the gateway itself goes by.

asked.py     bodies of requests: the fields are those that each door takes
answers.py   bodies of answers, and what a stream is made of
document.py  every door, with its headers, errors and keys
"""
