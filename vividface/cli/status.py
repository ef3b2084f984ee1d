"""Exit statuses; argparse's own for a wrong option is 2."""

FAILED = 1
# The input was damaged, so that the result is not all of it.
INCOMPLETE = 3
INTERRUPTED = 130
# Nobody reads the output any more, as of a program that the signal SIGPIPE ends.
CLOSED_PIPE = 141
