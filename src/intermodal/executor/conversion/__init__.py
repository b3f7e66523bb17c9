"""Steps before the answering call: files become text, images or sound that the answering model can take."""
