"""Runs the core a piece at a time: memory for the compiler, of which little goes back to the system, is used again."""

core = parts[1:PIECES + 1]
for piece in core:
    exec(piece, globals())
main()
