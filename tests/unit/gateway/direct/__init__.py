"""The direct path: chats that are passed on, held against what the executor answers for the same request."""
