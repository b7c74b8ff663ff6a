"""Training of the fusion generator. Never imported by the runtime."""
