"""Calibrating INT8 graphs on the user's own footage: collect samples, measure ranges, quantize."""

from edge_harmony.run.exit_code import missing_packages_in_words

missing_packages_in_words()
