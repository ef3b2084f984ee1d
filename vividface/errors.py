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
