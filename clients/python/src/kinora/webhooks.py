"""Webhooks, checked before they are believed. Their form is Standard Webhooks 1.0."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .errors import SignatureError

#: Seconds by which the clocks of sender and receiver, and the way between them, may differ.
TOLERANCE = 300.0


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Sequence[str],
    *,
    tolerance: float = TOLERANCE,
    now: float | None = None,
) -> dict[str, Any]:
    """The event that a webhook carries, if one of the secrets signed it a short while ago.

    `body` is the request's body as it came, before anything has parsed it. `secrets` are those of the endpoint
    (`whsec_…`): two while one replaces the other. Raises `SignatureError`.
    """
    named = {name.lower(): value for name, value in headers.items()}
    webhook_id, sent = named.get("webhook-id", ""), named.get("webhook-timestamp", "")
    if not webhook_id or not sent.isascii() or not sent.isdigit():
        raise SignatureError("the headers webhook-id and webhook-timestamp are missing or malformed")
    if abs((time.time() if now is None else now) - int(sent)) > tolerance:
        raise SignatureError(f"the webhook was not sent within {tolerance:g} s of now")

    signed = f"{webhook_id}.{sent}.".encode() + body
    given = [entry[3:] for entry in named.get("webhook-signature", "").split() if entry.startswith("v1,")]
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        mac = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        expected = base64.b64encode(mac).decode()
        if any(hmac.compare_digest(expected.encode(), entry.encode()) for entry in given):
            event: dict[str, Any] = json.loads(body)
            return event
    raise SignatureError("no signature of the webhook is by one of the secrets")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as source:
        raise ValueError("a webhook's secret is whsec_ and base64 behind it") from source
