"""The snapshot of hosted models: its file, the meaning of its rows, and how it is built from published data.

    file                          the format and its reader
    interpretation, endpoints     a row as a model, a price, an endpoint; disputes; the cheapest endpoints
    builder, sources/             read the published packages and join them

Rows written by hand are not here but in the package above.
"""
