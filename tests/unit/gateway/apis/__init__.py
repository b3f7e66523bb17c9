"""Each API of the gateway as its clients use it: chat, responses, messages, Ollama, tools, media, prompt files."""
