"""Steps before the answering call: files become text, pictures or sound that the answering model can take."""
