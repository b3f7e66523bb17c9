"""The gateway: everything before it behind the APIs that clients already speak."""
