"""Google's Gemini API: generateContent, embeddings and images."""
