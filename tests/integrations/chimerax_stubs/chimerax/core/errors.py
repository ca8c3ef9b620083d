class UserError(Exception):
    """Shown to the user in one line, without a traceback."""
