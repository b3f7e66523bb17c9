"""The last call of a route, by kind of output: text, JSON, speech, images, scores, vectors, translations."""
