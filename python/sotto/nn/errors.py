"""The one error that users see."""
from __future__ import annotations

from .._errors import BadInputError


class TrainError(BadInputError):
    """A problem with files or settings; its text is one line that says what is wrong."""
