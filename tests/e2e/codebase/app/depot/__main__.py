"""Not a program when it is imported."""

NAME = __name__

if __name__ == "__main__":
    raise SystemExit("ran as a program")
