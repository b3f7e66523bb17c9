"""Estimates what a question needs from the media attached to it. The planner receives the result as facts.

question_reader.py   asks the child process, and remembers its answers
question_worker.py   the child process, which computes vectors
needs_regression.py  needs from vectors, by example questions and small networks; the examples are read from
                     examples.bin (of examples.toml and examples_of_trades.toml, by scripts/question_vectors.py)
keyword_needs.py     needs from English words, where no sentence model is here                     pure
word_requests.py     requests for the words of a picture and nothing else, in ten languages       pure
answer_kinds.py      the kind of answer asked for (summary, list, fact), by words of ten languages pure
"""
