"""The snapshot of hosted models: its file, what its rows mean, and how it is built from published data.

    file                          the format and its reader
    interpretation, endpoints     a row as a model, a price, an endpoint, disputes settled; the cheapest of them
    builder, sources/             read the published packages and join them

Rows that people write are not here but in the package above.
"""
