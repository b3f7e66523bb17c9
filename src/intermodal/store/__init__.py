"""The user's records on disk: attempts and runs in one SQLite file, statistics learned from them, and small caches.

``database.py`` holds ``Store``, the only entry point; ``sqlite_file.py`` opens the file.

    attempts, rows                                 rows of attempts and runs, their states, reading them in slices
    attempt_journal, group_commit                  durability: the write-ahead journal, shared commits
    epochs, learned_figures, answer_lengths        statistics of earlier runs, for plans
    speed_regression                               the fits behind the statistics, and their priors
    estimate_accuracy                              accuracy of estimates
    pruning                                        deletion of old rows, and the daily totals that outlive them
    conversion_cache, image_vectors                caches of conversions and of image embeddings
    recognition_quality, measured_strengths        inputs that were recognised badly; results of evaluations
    process_identity, cpu_contention               which process wrote a row; CPU load from other programs

No content is stored except the last conversation and the caches. Quotas of a gateway's keys are in ``gateway/quotas``,
facts learned about servers in ``local/discovery/server_directory.py``.
"""
