"""ONNX's own node tests; see `cases`."""
