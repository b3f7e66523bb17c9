"""Direct calls: a chat is forwarded to a host of the same API, and its reply is forwarded as it arrives.

The caller implements a sink, and this package makes the call: the client's bytes go to the host with the host's model
name and the plan's token limit. How an attempt is accounted for and continued is in ``attempt/``, for direct calls and
for runs; ``protocols/answer_state.py`` judges its answer.

sink                          the interface of the caller: admits a call, writes its answer, charges for it
compiled_plan                 the plan of all chats of one shape, compiled once; ``not_direct``: which need a run
engine                        what calls share: connections, health of hosts, and rows of the store, written in batches
direct_attempt                one call
protocol_adapters             what differs between APIs: a row for each of their folders in ``protocols/``
"""
