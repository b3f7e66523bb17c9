"""Discovery: model servers that the user already runs on this machine are found, identified, and read.

    scanner, listing_readers   query every address at once, and parse the servers' lists
    server_directory           the last result, when to look again, and lessons about endpoints
    catalog_cache              the catalog with discovered servers, rebuilt only on a change

Nothing is loaded and nothing computed: only paths that list or describe are queried, all at once, in under a second.
"""
