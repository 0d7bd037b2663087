"""The one exception for a user's mistake: entry points print it as one line and exit with code 2."""


class UserError(ValueError):
    """Something the user can fix. The message says what was found, what was expected and the way out."""
