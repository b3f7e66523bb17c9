"""How a local server is told from the others, and where it says what it serves: a part of a host's row.

Every path is one that lists or describes. None makes a server load a model or compute.
"""

from __future__ import annotations

from intermodal.content import Value


class ServerFingerprint(Value, forbid_unknown_fields=True):
    """A reply that only this kind of server gives.

    Attributes:
        step: its place in the order in which servers are asked; what tells most servers apart comes first.
        path: below the server's root, asked with GET.
        key: where to look in its JSON, dotted, ``*`` for any item of a list ("data.*.owned_by"); "" looks at the text.
        says: a regular expression that what is there matches; "" is content that something is there.
    """

    step: int
    path: str
    key: str = ""
    says: str = ""


class ListingRequest(Value, forbid_unknown_fields=True):
    """Where it says what it serves. ``form`` names the reader (``local/discovery/listing_readers.py``).

    ``each``: asked once for every model, with POST and its name.
    """

    path: str
    form: str
    each: bool = False


class DiscoveryRules(Value, forbid_unknown_fields=True):
    """How one kind of server is found and read.

    Attributes:
        signs: one that holds is enough.
        reads: in order; a later one knows better than an earlier one.
        version: path and key of its version, () where it does not tell.
        address_env: variable in which its users write its address; only one on this machine is looked at.
        sets_context: its protocol says how much context is wanted, so what a model was trained for is what it has.
        forwards: the host that models belong to which it passes on to a service elsewhere: who must be consented to.
        forwarded_names: patterns of the names of such models. forwarded_keys: keys of such a model in its lists.
    """

    signs: tuple[ServerFingerprint, ...] = ()
    reads: tuple[ListingRequest, ...] = ()
    version: tuple[str, ...] = ()
    address_env: str = ""
    sets_context: bool = False
    forwards: str = ""
    forwarded_names: tuple[str, ...] = ()
    forwarded_keys: tuple[str, ...] = ()
