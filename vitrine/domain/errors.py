"""The one error of the domain."""


class InvalidValue(ValueError):  # noqa: N818 - named as callers know it
    """A value breaks a rule; names the field by its path and the rule with its limit."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
