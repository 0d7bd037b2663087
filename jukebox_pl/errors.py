"""The one exception for a user's mistake, and which errors of others are one: each becomes one line and exit code 2."""

from __future__ import annotations

import errno

REFUSED = frozenset(
    [
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR, errno.EEXIST),
        *(errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    ]
)


class UserError(ValueError):
    """Something the user can fix. The message says what was found, what was expected and the way out."""


FROM_A_WORKER = f"{UserError.__module__}.{UserError.__name__}: "  # what stands before its message in a traceback


def mistake_in(error: BaseException) -> str | None:
    """What to tell a user of an error, if it is theirs: also where another library has wrapped it in one of its own."""
    if isinstance(error, UserError):
        return " ".join(str(error).rpartition(FROM_A_WORKER)[-1].split("\n"))
    if error.__cause__ and (cause := mistake_in(error.__cause__)):
        return cause
    if isinstance(error, OSError) and error.errno in REFUSED:
        return f"{error.filename or 'the disk'}: {error.strerror}; make room or choose another folder, and run it again"
    return None
