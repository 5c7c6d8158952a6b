"""The one error that users see."""


class TrainError(Exception):
    """A problem with files or settings; its text is one line that says what is wrong."""
