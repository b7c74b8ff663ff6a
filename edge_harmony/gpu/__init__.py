"""NVIDIA GPUs: found, opened, and given arrays; nothing of frames or models. Only ``device`` imports pycuda."""
