"""OpenAI's endpoints beside chat: transcription, speech, images and embeddings."""
