"""OpenAI chat completions, as OpenAI and most other hosts and local servers implement them."""
