"""The OpenAPI document of the gateway, built from the tables that the gateway itself uses.

schemas.py           bodies of requests, with the fields that each route accepts, of responses, and of events
openapi_document.py  every route, with its headers, errors and keys
"""
