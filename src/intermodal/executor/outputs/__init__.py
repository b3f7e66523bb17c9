"""The last call of a route, by kind of output: text, JSON, speech, images, scores, vectors, translations.

``answer_call.py`` chooses by operation. ``json_answer.py`` parses JSON without a call, ``evidence.py`` finds its values
in what the model read, ``evidence_check.py`` asks again for those that it does not find.
"""
