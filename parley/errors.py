"""The one error tree. Raised near the cause, with the values in the message.

    ParleyError
    ├── ClientError        what the caller sent cannot be used; sending it again changes nothing
    │   ├── NotFound       there is no such thing, or it is not the caller's
    │   └── TooLarge       over a stated limit
    ├── AtCapacity         the service is full; carries when to try again
    ├── EngineError        the recogniser or the engine behind the wire failed
    ├── BackendError       PostgreSQL, Redis or object storage failed
    ├── QuotaSpent         somebody's service takes no more for now: what was paid for is used up
    └── SetupError         this machine or its settings are not fit to run; the message says what to do

`code` is stable and machine-readable; `message` is one sentence for a person; `retryable` says whether the same
request can succeed later. `gateway/failures.py` turns them into close codes and HTTP statuses, in one place.
"""


class ParleyError(Exception):
    """Base of every error that Parley raises on purpose."""

    code = "internal"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable

    @property
    def retry_after_s(self) -> float | None:
        """Seconds after which a retry makes sense; None where no time is known."""
        return None


class ClientError(ParleyError):
    code = "bad_request"


class NotFound(ClientError):
    code = "not_found"


class TooLarge(ClientError):
    code = "too_large"


class AtCapacity(ParleyError):
    code = "at_capacity"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self._retry_after_s = retry_after_s

    @property
    def retry_after_s(self) -> float:
        return self._retry_after_s


class EngineError(ParleyError):
    code = "engine_error"
    retryable = True


class BackendError(ParleyError):
    code = "backend_unavailable"
    retryable = True


class QuotaSpent(ParleyError):
    code = "quota_spent"
    retryable = True


class SetupError(ParleyError):
    code = "setup"
