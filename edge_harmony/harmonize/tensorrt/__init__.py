"""Harmonizing by an engine of TensorRT or TensorRT-RTX: ``harmonizer`` is what callers want, the rest is its parts."""
