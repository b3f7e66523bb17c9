"""How bytes are cut into messages, and JSON bodies with media in them are written and read, whatever the protocol."""
