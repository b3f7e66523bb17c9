"""The gateway as a process: logs, workers, pruning, graceful stop."""
