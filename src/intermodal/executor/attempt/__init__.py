"""The attempts of one call of a step: retries, cost accounting, and learning about the endpoint."""
