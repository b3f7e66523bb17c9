"""Drivers: a driver makes a call and returns the result.

``http.py`` drives the hosts of every HTTP protocol, whose codecs ``codecs.py`` finds; ``embedded.py`` has a driver for
each model that runs here. A driver is loaded when its protocol is first used.
"""
