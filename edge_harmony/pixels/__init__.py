"""What is done to every pixel of a frame, and the checks that let it be done without asking again."""
