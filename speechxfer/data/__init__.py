"""What goes in: manifests, texts, batches."""
