"""Training of the fusion generator. Never imported by the runtime."""

from edge_harmony.run.exit_code import missing_packages_in_words

missing_packages_in_words()
