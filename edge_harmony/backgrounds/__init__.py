"""What stands behind the subject: one file a kind, and how each fills the frame."""
