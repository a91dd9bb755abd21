"""Invalid cases that are none: what the API takes although its description cannot, or on purpose does not, say so.

A client that sends every key of a form means "absent" by null and by an empty text, and some send a duration as text. The
description leaves that out because tools make forms and payloads from it. Each of these has tests of its own.
"""

from schemathesis import GenerationMode, hook

UNKNOWN = "x-schemathesis-unknown-property"
EMPTY_MEANS_ABSENT = {
    "negative_prompt",
    "image_url",
    "end_image_url",
    "video_url",
    "audio_url",
    "reference_image_url",
    "webhook_url",
    "model",
    "size",
}


def is_tolerated(name, value, in_form):
    """Whether the API takes this value of this member beyond its schema."""
    if value is None:
        return True
    if value == "":
        return in_form or name in EMPTY_MEANS_ABSENT
    if name == "input_reference" and isinstance(value, dict):
        return value.get("image_url") == ""
    return name in ("duration", "seconds") and isinstance(value, str) and value.lstrip("-").isdecimal()


@hook
def filter_case(context, case):
    """Keeps what the API must refuse out of tolerance's way."""
    is_negative = case.meta is not None and case.meta.generation.mode == GenerationMode.NEGATIVE
    # Of a query, what is not known is not read: clients and proxies add what they like.
    if is_negative and UNKNOWN in (case.query or {}):
        return False
    if not (is_negative and isinstance(case.body, dict)):
        return True
    in_form = case.media_type == "multipart/form-data"
    return not any(is_tolerated(name, value, in_form) for name, value in case.body.items())
