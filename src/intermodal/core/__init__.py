"""What every package shares: a request and its parts, quantities, hints in errors, languages, and the plugin registry.

Of intermodal, a module here imports ``errors`` and this folder, nothing else. ``errors.py`` and ``events.py`` stand
beside it, since users import them.
"""
