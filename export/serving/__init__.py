"""What ``python -m export.triton`` copies: the server's model, and a client that needs nothing of ours."""
