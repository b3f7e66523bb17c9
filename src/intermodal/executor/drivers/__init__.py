"""One driver a protocol: it makes a call and returns what came back. A driver loads when its protocol is first used."""
