"""Client for Kinora, a self-hosted server for the Wan video models.

    from kinora import Kinora

    client = Kinora("http://127.0.0.1:8080", API_KEY)
    video = client.generate(prompt="a red ball bounces at sunset", duration=2, save="ball.mp4")

Needs nothing beyond the standard library.
"""

from .client import Files, Kinora, Progress, Video
from .errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    ConnectionFailed,
    ForbiddenError,
    GenerationCanceled,
    GenerationFailed,
    GoneError,
    InsufficientCreditsError,
    InvalidInputError,
    KinoraError,
    NotFoundError,
    RateLimitError,
    ServerError,
    SignatureError,
    WaitTimeout,
)
from .webhooks import verify_webhook

__all__ = [
    "ApiError",
    "AuthenticationError",
    "ConflictError",
    "ConnectionFailed",
    "Files",
    "ForbiddenError",
    "GenerationCanceled",
    "GenerationFailed",
    "GoneError",
    "InsufficientCreditsError",
    "InvalidInputError",
    "Kinora",
    "KinoraError",
    "NotFoundError",
    "Progress",
    "RateLimitError",
    "ServerError",
    "SignatureError",
    "Video",
    "WaitTimeout",
    "verify_webhook",
]
