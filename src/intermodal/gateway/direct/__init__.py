"""The gateway's side of direct calls: chats whose plan is one call on a host that speaks the client's own API.

The executor makes the calls (``executor/direct/``). Here a chat is matched with a plan, and its client is answered.

direct_chats          which chats may be direct, and the compiled plan of their shape
client_sink           the client of a call: its budget, its head and errors, what is recorded of it
text_size_cache       sizes of texts that come again
handover              a call that did not answer, which a run continues
"""
