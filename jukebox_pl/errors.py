"""The one exception for a user's mistake, and which errors of others are one: each becomes one line and exit code 2."""

from __future__ import annotations

import errno
import unicodedata

OF_THE_DISK = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OF_A_PLACE = (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP)
REFUSED = (*OF_THE_DISK, *OF_A_PLACE)


class UserError(ValueError):
    """Something the user can fix. The message says what was found, what was expected and the way out."""


FROM_A_WORKER = f"{UserError.__module__}.{UserError.__name__}: "  # what stands before its message in a traceback


def one_line(text: str) -> str:
    """A text from outside as one line that can do nothing to a terminal: control characters and the like are escaped."""
    if text.isascii() and text.isprintable():
        return text
    unseen = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
    turned = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # would show what follows backwards
    return "".join(ascii(c)[1:-1] if unicodedata.category(c) in unseen or c in turned else c for c in text)


def mistake_in(error: BaseException) -> str | None:
    """What to tell a user of an error, if it is theirs: also where another library has wrapped it in one of its own."""
    if isinstance(error, UserError):
        return one_line(" ".join(str(error).rpartition(FROM_A_WORKER)[-1].split("\n")))
    if error.__cause__ and (cause := mistake_in(error.__cause__)):
        return cause
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{error.filename or 'the disk'}: {error.strerror}; make room or choose another folder, and run it again"
    return None
