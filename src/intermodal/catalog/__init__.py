"""Models, hosts, endpoints and prices: what a plan chooses among.

    types             models, hosts, endpoints and the catalog itself, as values
    load              joins shipped rows, the snapshot and the user's rows into a catalog
    host_rows, model_rows, shipped_rows, model_folders, encoder_heads
                      rows as people write them, and what the files of a model folder say
    snapshot/         hosted models out of published data
    discovered_servers, capability_lessons
                      what servers of this machine report, and what probes and calls showed
    rate_cards, token_rules, reasoning_effort, schema_enforcement, image_options, default_speeds
                      what a host bills, how a model counts and scores, and what a protocol can express
    model_names, search, model_facts
                      names, lookups, and every fact about a model with its source
    data/             the rows themselves

Nothing here runs a model or contacts a host.
"""
