"""Codecs: one folder for each protocol, between intermodal's own types and the bytes of a host or a client.

Pure functions and incremental readers; nothing here opens a connection, waits, or reads a clock: where replies depend
on times, a clock is handed in.

A protocol's folder holds up to three chat modules, named alike in every folder:

- ``codec.py`` calls a host: ``encode_request(call, host)`` writes a request, ``normalise(call, host)`` is the call as
  the protocol can carry it, and ``Decoder``, a subclass of ``reply_decoder.ReplyDecoder``, reads the reply.
  ``IMAGE_TYPES`` and ``QUIRKS`` say what the protocol takes.
- ``server.py`` is the other direction, for the gateway: ``decode_request(body)`` reads a client's request,
  ``StreamEncoder`` and ``encode_reply`` write the answer.
- ``passthrough.py`` serves hosts that speak the client's own protocol, whose bytes go through as they came.
  ``chat_of`` reads of a client's request what its plan depends on, ``read`` what a host's reply says. A stream is read
  event by event: by a subclass of ``upstream_response.StreamedResponse``, or of ``transcoding.TranscodedStream`` where
  events are decoded and written again.

Further endpoints of a protocol are modules beside them (``embeddings.py``, ``images.py``).

What all protocols share is at the top of this package: the calls and events (``calls.py``), normalisation
(``conversation.py``, ``schema_transforms.py``, ``special_tokens.py``), validation of clients' requests
(``request_validation.py``, ``request_fields.py``), the base of the decoders (``reply_decoder.py``), and what is passed
through (``parsed_chat.py``, ``reply_chunk.py``, ``upstream_response.py``, ``transcoding.py``). ``answer_state.py``
judges an answer while it arrives, however it is read. ``framing/`` holds bytes and JSON, ``errors/`` failures in both
directions.

To add a protocol, write its folder and its rows; CONTRIBUTING.md, "Add a protocol: a folder and a row", lists each step
and the tests that hold it.
"""
