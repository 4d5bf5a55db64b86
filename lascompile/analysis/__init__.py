"""What a graph really computes: where masks are born, where each value is needed, what it is elsewhere."""
