"""From the parts of a request to the inputs of a call: what a model is given, how much that is, and whether it fits."""
