"""Readers of the published data that a snapshot is built from, one module a package. They read data only: nothing is
imported or run."""
