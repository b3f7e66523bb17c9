"""The last call of a route, by kind of output: text, JSON, speech, images, scores, vectors, translations.

``answer_call.py`` chooses by operation. ``json_answer.py`` parses JSON without a call, ``evidence.py`` looks up
its values in the model's input, ``evidence_check.py`` asks again for values that are not found there.
"""
