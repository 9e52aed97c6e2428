"""What an encoder learns to say."""
