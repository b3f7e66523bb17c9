"""Large requests and answers, and the memory that is held for them."""
