"""Ollama's own API: chat, generate and embed."""
