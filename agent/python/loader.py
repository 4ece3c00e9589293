"""Runs the core piece by piece, so that the compiler uses its memory again: it returns little of it to the system."""

core = parts[1:PIECES + 1]
for piece in core:
    exec(piece, globals())
main()
