"""Training the small matte that ships as ``person``: a student of a stated teacher. Imported by no runtime code."""
