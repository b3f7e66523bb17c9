"""Discovery: finds, identifies and queries the model servers that the user already runs on this machine.

    scanner, listing_readers   query all addresses concurrently, and parse the servers' model lists
    server_directory           the last result, when to scan again, and lessons about endpoints
    catalog_cache              the catalog with discovered servers, rebuilt only on a change

Discovery loads no models and requests no computation. It queries only paths that list or describe models, concurrently,
in under a second.
"""
