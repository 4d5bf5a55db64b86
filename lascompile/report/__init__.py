"""What a person looks at: where the time of an inference went, and pictures of what was skipped."""
