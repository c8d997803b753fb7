"""Networks that predict: PyTorch, ONNX Runtime, TorchScript, OpenVINO."""
