"""One call of a step, attempt by attempt: when it is sent again, what it may cost, and what it teaches of its
endpoint."""
