"""Floor 1: pure functions of NumPy or CuPy arrays, each under one line that says how to cut it."""
