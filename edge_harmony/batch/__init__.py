"""Many clips or pictures in one go: which there are, what is done already, and workers that share the rest."""
