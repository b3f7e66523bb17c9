"""Keys, budgets, rates and billing as clients of the gateway meet them."""
