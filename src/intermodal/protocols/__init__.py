"""Codecs: one folder for each protocol, between intermodal's own types and the bytes of a host or a client.

Pure functions and incremental readers; nothing here opens a connection, waits, or reads a clock: if replies depend on
times, a clock is passed in.

A protocol's folder holds up to four chat modules, named alike in every folder:

- ``codec.py`` calls a host: ``encode_request(call, host)`` writes a request, ``normalise(call, host)`` is the call as
the protocol can carry it, and ``Decoder``, a subclass of ``reply_decoder.ReplyDecoder``, reads the reply.
``IMAGE_TYPES`` and ``QUIRKS`` state what the protocol accepts.
- ``reply.py`` holds the types of a host's reply, where replies are also forwarded: ``Decoder`` makes events of them,
and ``read_reply`` tells what a reply holds whose bytes are forwarded. Where there is none, ``Decoder`` is in
``codec.py``.
- ``server.py`` is the other direction, for the gateway: ``decode_request(body)`` reads a client's request,
``StreamEncoder`` and ``encode_reply`` write the answer.
- ``passthrough.py`` serves hosts that speak the client's own protocol, whose bytes are forwarded unchanged. ``chat_of``
parses the parts of a client's request that its plan depends on. A stream is read event
by event: by a subclass of ``upstream_response.StreamedResponse``, or of ``transcoding.TranscodedStream`` if events are
decoded and written again.

Further endpoints of a protocol are modules beside them (``embeddings.py``, ``images.py``).

The top of this package holds what all protocols share: the calls and events (``calls.py``), normalisation
(``conversation.py``, ``schema_transforms.py``, ``special_tokens.py``), validation of clients' requests
(``request_validation.py``, ``request_fields.py``), the base of the decoders (``reply_decoder.py``), and passthrough
(``parsed_chat.py``, ``reply_chunk.py``, ``upstream_response.py``, ``transcoding.py``). ``answer_state.py`` judges an
answer while it arrives, however it is read. ``framing/`` handles bytes and JSON, ``errors/`` failures in both
directions.

To add a protocol, write its folder and its rows; CONTRIBUTING.md, "Add a protocol: a folder and a row", lists each step
and the tests that check it.
"""
