"""The OpenAPI document of the gateway, built from the tables that the gateway itself uses.

request_schemas.py   bodies of requests: the fields are those that each route accepts
response_schemas.py  bodies of responses, and the events of streams
openapi_document.py  every route, with its headers, errors and keys
"""
