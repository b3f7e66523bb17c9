"""From the parts of a request to the inputs of a call: the input itself, its size, and whether it fits."""
