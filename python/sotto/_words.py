"""What the C++ library says, in the words of this package."""
from __future__ import annotations

import re
from collections.abc import Collection

_WORDS = [(re.compile(theirs), ours) for theirs, ours in (
    (r"write its mean and std with scripts/add_metadata\.py", "give mean= and std="),
    (r"write --mean (\S+) --std (\S+) with scripts/add_metadata\.py", r"give mean=\1 and std=\2"),
    (r"the same command\b", "the same call"),
    (r"\bthis program reads\b", "this version of sotto reads"))]


def in_python(text: str, by_argument: Collection[str] = ()) -> str:
    """A message or note. by_argument: what of mean, std and classes the caller gave instead of metadata of the file."""
    for theirs, ours in _WORDS:
        text = theirs.sub(ours, text)
    for name in by_argument:
        text = re.sub(rf"\b(metadata )?sotto\.{name}\b", f"{name}=", text)
    return text
