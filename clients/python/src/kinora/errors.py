"""What can go wrong, as exceptions that tell what to do about it."""

from __future__ import annotations

from .types import FieldError, GenerationView


class KinoraError(Exception):
    """The base of everything that this package raises."""


class ConnectionFailed(KinoraError):
    """The server could not be asked, or its answer broke off."""


class WaitTimeout(KinoraError):
    """The generation had not ended within the time that was given. It goes on."""

    def __init__(self, generation_id: str, timeout: float) -> None:
        super().__init__(f"generation {generation_id} had not ended after {timeout:g} s; it goes on")
        self.generation_id = generation_id


class SignatureError(KinoraError):
    """A webhook is not from the server, is too old, or was changed on its way."""


class ApiError(KinoraError):
    """The server refused a request."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        errors: list[FieldError],
        request_id: str | None,
        retry_after: float | None,
    ) -> None:
        super().__init__(message)
        #: The HTTP status.
        self.status = status
        #: What to branch on.
        self.code = code
        #: The same for people.
        self.message = message
        #: Every member at fault, where members are.
        self.errors = errors
        #: By which the request is found in the server's log.
        self.request_id = request_id
        #: Seconds after which another try may help.
        self.retry_after = retry_after


class InvalidInputError(ApiError):
    """400, 413, 415, 422: the request is not taken as it is."""


class AuthenticationError(ApiError):
    """401: no key, or one that is unknown or revoked."""


class InsufficientCreditsError(ApiError):
    """402: the balance does not cover the price."""


class ForbiddenError(ApiError):
    """403: the key may not do this."""


class NotFoundError(ApiError):
    """404: no such thing."""


class ConflictError(ApiError):
    """409: not in this state."""


class GoneError(ApiError):
    """410: the media were removed."""


class RateLimitError(ApiError):
    """429: too many requests, or too many generations queued."""


class ServerError(ApiError):
    """5xx: the server's trouble; another try may help."""


class GenerationFailed(KinoraError):
    """The generation ended without a result."""

    def __init__(self, generation: GenerationView) -> None:
        self.generation = generation
        #: What to branch on; empty where it was canceled.
        self.code = generation.get("code", "")
        #: The same for people.
        self.message = generation.get("message", "It was canceled.")
        status = generation["status"].lower()
        super().__init__(f"generation {generation['id']} {status}: {self.message}")


class GenerationCanceled(GenerationFailed):
    """The generation was ended by a client."""


def error_class(status: int) -> type[ApiError]:
    """The class of an error by its HTTP status."""
    named: dict[int, type[ApiError]] = {
        401: AuthenticationError,
        402: InsufficientCreditsError,
        403: ForbiddenError,
        404: NotFoundError,
        409: ConflictError,
        410: GoneError,
        429: RateLimitError,
    }
    if status >= 500:
        return ServerError
    return named.get(status, InvalidInputError if status in (400, 413, 415, 422) else ApiError)
