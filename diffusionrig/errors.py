"""The two errors a user may meet. Their text is one sentence: what is wrong, where, and what to do."""

from __future__ import annotations


class RigError(Exception):
    """The work cannot be done (damaged file, missing weights, full disk). Commands exit with status 1."""

    exit_code = 1


class UsageError(RigError):
    """The request itself is wrong (bad flag value, path that does not exist). Commands exit with status 2."""

    exit_code = 2
