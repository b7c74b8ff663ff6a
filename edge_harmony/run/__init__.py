"""How work is run, whatever it is: signals, exit codes, other processes, other threads, timing, files in one piece."""
