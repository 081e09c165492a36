"""Model cards, the Hub, Spaces and ONNX files."""
