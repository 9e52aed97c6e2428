"""From hidden states to text: options of decoding, searches, hallucination checks, predictions."""
