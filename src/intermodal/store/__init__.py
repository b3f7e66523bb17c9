"""The user's records on disk: attempts and runs in one SQLite file, figures learned from them, and small caches.

``database.py`` holds ``Store``, the one door; ``sqlite_file.py`` opens the file.

attempts, rows                                 rows of attempts and runs, their states, many of them in slices
attempt_journal, group_commit                  durability: the write-ahead journal, shared commits
epochs, learned_figures, answer_lengths        what plans are told of earlier runs
speed_regression                               the fits behind those figures, and their priors
token_calibration, estimate_accuracy           servers' token counts beside ours; how good estimates were
pruning                                        the deletion of old rows, and totals by day that outlive them
conversion_cache, image_vectors                caches of conversions and of image embeddings
recognition_quality, measured_strengths        what was read or heard badly; results of evaluations
process_identity, cpu_contention               which process wrote a row, load by others

No content is stored but the last conversation and the caches. Quota of a gateway's keys is in ``gateway/quotas``,
what was found and learned of servers in ``local/discovery/server_directory.py``.
"""
