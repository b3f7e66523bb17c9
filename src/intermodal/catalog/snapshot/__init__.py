"""The snapshot of hosted models: its file, what its rows mean, and how it is built from published data.

    file                          the format and its reader
    interpretation, endpoints     a row as a model, a price, an endpoint
    dated_prices                  the price of an endpoint on a day or in a batch
    builder, packages, sources    reads the published packages and joins them
    consensus, cheapest           decided when the snapshot is built: disputed capabilities, cheapest models

Rows that people write are not here but in the package above.
"""
