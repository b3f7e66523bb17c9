"""The gateway's side of direct calls: chats whose plan is one call on a host that speaks the client's own API.

The executor makes the calls (``executor/direct/``). This package matches a chat with a plan and answers the client.

direct_chats          which chats may be direct, and the compiled plan of their shape
client_sink           the client of a call: its budget, response head, errors and request record
handover              a call that did not answer and is continued by a run
"""
