"""The only package that opens, recognises, probes and decodes media."""
