"""Models, hosts, endpoints and prices: the inputs of a plan.

    types             models, hosts, endpoints and the catalog itself, as values
    load              joins shipped rows, the snapshot and the user's rows into a catalog
    host_rows, model_rows, shipped_rows, model_folders, encoder_heads
                      rows as written in TOML, and facts read from the files of a model folder
    snapshot/         hosted models from published data
    discovered_servers, capability_lessons
                      reports of servers on this machine, and findings of probes and calls
    rate_cards, token_rules, reasoning_effort, schema_enforcement, image_options, default_speeds
                      how a host bills, how a model counts tokens, and what a protocol can express
    model_names, search, model_facts
                      names, lookups, and every fact about a model with its source
    data/             the rows themselves

Nothing here runs a model or contacts a host.
"""
