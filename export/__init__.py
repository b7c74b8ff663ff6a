"""From a checkpoint to ONNX graphs and TensorRT engines: export, precision, verification, building."""
