"""Servers that a person already runs on this machine: found, told apart, and asked what they serve. Nothing is loaded
and nothing computed: only paths that list or describe are asked, all at once, for less than a second."""
