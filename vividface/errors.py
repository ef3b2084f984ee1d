"""Errors that are meant to be read by the user."""


class InputError(Exception):
    """Something the user gave is wrong.

    The message is one clear sentence that names the file, the clip or the configuration key, and says what
    to do. Command line and rules print it without a traceback and exit with a status that is not zero.
    """


class MissingWeightsError(InputError):
    """A third-party file is not in the local cache; the message says which command fetches it."""


class StoppedError(Exception):
    """A signal asked a long run to stop; its state is saved, and running it again resumes from it."""


def describe(error: BaseException) -> str:
    """An error that nobody foresaw, in one line for the user.

    Args:
        error: error that is no `InputError`.
    """
    first = str(error).strip().splitlines()[:1]
    reason = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    return f"failed for a reason nobody foresaw ({reason}); VIVIDFACE_TRACEBACK=1 shows where, for a report"
