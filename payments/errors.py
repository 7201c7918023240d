"""The errors of payments.

PaymentsError
├── InvalidRequest      the request can never succeed
├── Conflict            the payment id belongs to another request
├── NotTheWriter        this region does not lead
├── StoreUnavailable    a store gave no usable answer
├── RepairFailed        a start of the repair ended early
└── MigrationError      the migration files do not match what was applied
"""


class PaymentsError(Exception):
    """Base of all errors that payments raises on purpose."""


class InvalidRequest(PaymentsError):
    """A request that no retry can make valid: `field` names the part that is wrong, `reason` says what is expected.

    Neither contains a value from the request.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field, self.reason = field, reason


class Conflict(PaymentsError):
    """The payment id belongs to another request."""


class NotTheClient(PaymentsError):
    """An API key is used by someone who is not its client."""


class NotTheWriter(PaymentsError):
    """This region does not lead, or no longer. `writer` is the region that does, if known."""

    def __init__(self, writer: str | None = None) -> None:
        super().__init__(writer)
        self.writer = writer


class StoreUnavailable(PaymentsError):
    """A store did not do what was asked: `store` names it, `code` is its error code or the kind of failure.

    `again`: the same call may succeed later, since the request itself is not wrong.
    """

    def __init__(self, store: str, code: str, *, again: bool = False) -> None:
        super().__init__(store, code)
        self.store, self.code, self.again = store, code, again

    @property
    def denied(self) -> bool:
        """Whether a permission or a key is missing, and nothing is wrong with what was sent.

        S3 and DynamoDB answer so, and so does PostgreSQL (insufficient_privilege).
        """
        return "Denied" in self.code or self.code.startswith("KMS") or self.code == "42501"


class RepairFailed(PaymentsError):
    """A start of the repair ended early, by the error of a store that its only argument names."""


class MigrationError(PaymentsError):
    """The files are not a gapless series of migrations, or one has changed since it was applied."""
