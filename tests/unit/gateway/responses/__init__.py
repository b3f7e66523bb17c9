"""What an answer or an error reports of its route, attempts, cost and losses."""
