"""ONNX in: read a file, refuse with reasons what cannot be compiled, and bring the rest into one canonical form."""
