"""Trained encoders to ONNX graphs, TensorRT plans and a model repository that Triton serves."""
