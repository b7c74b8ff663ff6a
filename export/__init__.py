"""From a checkpoint to ONNX graphs and TensorRT engines: export, precision, verification, building."""

from edge_harmony.run.exit_code import missing_packages_in_words

missing_packages_in_words()
