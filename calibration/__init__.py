"""Calibrating INT8 graphs on the user's own footage: collect samples, measure ranges, quantize."""
