# Made from docs/openapi.json by `cargo xtask clients`; not to be edited.
"""What the API takes and answers."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

#: Method and path of each operation, the path relative to the API's base.
OPERATIONS: dict[str, tuple[str, str]] = {
    "get_credits": ("GET", "/credits"),
    "list_credit_entries": ("GET", "/credits/entries"),
    "quote_generation": ("POST", "/generation/quote/wan/wan-v2.7-video"),
    "stream_generation": ("POST", "/generation/sse/wan/wan-v2.7-video"),
    "stream_edit": ("POST", "/generation/sse/wan/wan-v2.7/edit-video"),
    "create_generation": ("POST", "/generation/wan/wan-v2.7-video"),
    "create_edit": ("POST", "/generation/wan/wan-v2.7/edit-video"),
    "get_generation": ("GET", "/generation/{id}"),
    "delete_generation": ("DELETE", "/generation/{id}"),
    "cancel_generation": ("POST", "/generation/{id}/cancel"),
    "stream_events": ("GET", "/generation/{id}/events"),
    "get_preview": ("GET", "/generation/{id}/preview"),
    "list_generations": ("GET", "/generations"),
    "list_running_generations": ("GET", "/generations/running"),
    "list_keys": ("GET", "/keys"),
    "create_key": ("POST", "/keys"),
    "revoke_key": ("DELETE", "/keys/{id}"),
    "list_models": ("GET", "/models"),
    "list_webhooks": ("GET", "/webhooks"),
    "create_webhook": ("POST", "/webhooks"),
    "get_signing_secret": ("GET", "/webhooks/signing-secret"),
    "get_webhook": ("GET", "/webhooks/{id}"),
    "delete_webhook": ("DELETE", "/webhooks/{id}"),
    "change_webhook": ("PATCH", "/webhooks/{id}"),
    "list_webhook_deliveries": ("GET", "/webhooks/{id}/deliveries"),
    "retry_webhook_delivery": ("POST", "/webhooks/{id}/deliveries/{delivery_id}/retry"),
    "rotate_webhook_secret": ("POST", "/webhooks/{id}/rotate-secret"),
    "test_webhook": ("POST", "/webhooks/{id}/test"),
}

PredictionStatus = Literal["starting", "processing", "succeeded", "failed", "canceled"]
"""The lower-case set, in the answer of the endpoint that has all four workflows."""

QueueState = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELED"]
"""The upper-case set, everywhere else."""


class Amount(TypedDict):
    """Credits moved by an entry, by pool; negative takes away."""

    total: int
    """The sum of the two pools."""
    subscription: int
    """Of the monthly pool."""
    permanent: int
    """Of the purchased packs."""


class Breakdown(TypedDict):
    """How a price comes about: rate × (input + output) for each clip."""

    credits_per_second: int
    """The rate."""
    input_seconds: float
    """Seconds of input that are billed."""
    output_seconds: float
    """Seconds of output."""
    n: int
    """Clips."""


class ChangedEndpoint(TypedDict):
    """What of an endpoint is to be different; what is absent stays."""

    url: NotRequired[str]
    """Where it is: https, public, without redirects."""
    events: NotRequired[list[Literal["task.created", "task.started", "task.completed", "task.failed", "task.canceled"]]]
    """What it is told of; empty is everything."""
    description: NotRequired[str]
    """For people."""
    enabled: NotRequired[bool]
    """Whether it is told anything. What was still to be told when it was disabled is told when it is enabled again."""


class CreateGeneration(TypedDict):
    """A clip to be made, by any of the four workflows."""

    feature: NotRequired[Literal["text-image", "frames", "reference", "edit-video"]]
    """The workflow. When absent it is inferred: references without `video_url` mean reference; `video_url` with a reference image means edit-video; `end_image_url` means frames; everything else text-image, where `video_url` alone continues a clip. To edit a clip without a reference image, send edit-video."""
    prompt: NotRequired[str | None]
    """What the clip shows. Required for reference and edit-video, and for text-image without an image or a clip."""
    negative_prompt: NotRequired[str | None]
    """What the clip should not show. Longer texts are refused, never cut."""
    image_url: NotRequired[str]
    """The first frame, in text-image and frames; not with `video_url`. JPEG, PNG, BMP or WEBP, 240 to 8000 pixels per side, at most 20 MB. Also a `data:` URL."""
    end_image_url: NotRequired[str]
    """The last frame, in frames and text-image; needs `image_url` or `video_url`. As `image_url`."""
    video_url: NotRequired[str]
    """The clip to continue (text-image, frames) or to edit (edit-video, where it is required). MP4 or MOV, 2 to 10 s, 240 to 4096 pixels per side, at most 100 MB."""
    reference_image_urls: NotRequired[list[str]]
    """"Image 1", "Image 2" … of the prompt, in reference. An edit uses only the first."""
    reference_image_url: NotRequired[str]
    """The image an edit refers to; wins over `reference_image_urls`."""
    video_refs: NotRequired[list[str]]
    """"Video 1", "Video 2" … of the prompt, in reference. MP4 or MOV, 1 to 30 s each."""
    audio_url: NotRequired[str | None]
    """Sound that drives or goes with the clip, in text-image and frames; not with `video_url`. WAV or MP3, 2 to 30 s, at most 15 MB."""
    aspect_ratio: NotRequired[Literal["16:9", "9:16", "1:1", "4:3", "3:4"]]
    """The shape of the clip. When absent, a clip with an image or a clip as its input follows the input; when given, the input is cropped to it."""
    resolution: NotRequired[Literal["720p", "1080p"]]
    """The tier of the result."""
    duration: NotRequired[int]
    """Seconds: 2 to 15; 2 to 10 in reference with `video_refs`; 0 or 2 to 10 in edit-video, where it is the number of seconds used from the clip's start and 0 (also when absent) keeps its length. In a continuation it is the whole length, the clip included. A decimal string is taken too."""
    enable_prompt_expansion: NotRequired[bool | None]
    """Whether the prompt may be expanded before it is used."""
    multi_shots: NotRequired[bool]
    """Several shots, cut together; true in reference only."""
    audio_setting: NotRequired[Literal["auto", "origin"]]
    """The sound of the clip that is edited: origin keeps it, auto keeps it unless the prompt describes another. origin in edit-video only."""
    seed: NotRequired[int | None]
    """Fixes the noise the clip is made from; drawn and shown when absent."""
    webhook_url: NotRequired[str]
    """Where to announce this generation's events."""


class CreatedEdit(TypedDict):
    """The answer to a creating request."""

    id: str
    """The id of a generation."""
    status: QueueState
    usage: Usage
    """The credits it holds, or has cost."""
    input: Input
    """The input as it was understood."""
    urls: Urls
    """Where to go from here."""
    data: NotRequired[VideoData | None]
    """The result; null until there is one, and after its media were removed."""
    code: NotRequired[Literal["VIDEO_GENERATION_INVALID_INPUT", "VIDEO_GENERATION_CONTENT_REJECTED", "VIDEO_GENERATION_TIMEOUT", "VIDEO_GENERATION_PROVIDER_UNAVAILABLE", "VIDEO_GENERATION_RATE_LIMITED", "VIDEO_GENERATION_FAILED"]]
    """Why there is no result."""
    message: NotRequired[str]
    """The same for people."""


class CreatedGeneration(TypedDict):
    """The answer to a creating request."""

    id: str
    """The id of a generation."""
    status: PredictionStatus
    """Where it stands."""
    usage: Usage
    """The credits it holds, or has cost."""
    input: Input
    """The input as it was understood."""
    urls: Urls
    """Where to go from here."""
    data: NotRequired[VideoData | None]
    """The result; null until there is one, and after its media were removed."""
    code: NotRequired[Literal["VIDEO_GENERATION_INVALID_INPUT", "VIDEO_GENERATION_CONTENT_REJECTED", "VIDEO_GENERATION_TIMEOUT", "VIDEO_GENERATION_PROVIDER_UNAVAILABLE", "VIDEO_GENERATION_RATE_LIMITED", "VIDEO_GENERATION_FAILED"]]
    """Why there is no result."""
    message: NotRequired[str]
    """The same for people."""


class CreditsView(TypedDict):
    """What an account can spend, and what its live generations have set aside."""

    total: int
    """What can be spent, of both pools."""
    subscription: int
    """What can be spent of the monthly pool."""
    permanent: int
    """What can be spent of the purchased packs."""
    held: Usage
    """What is set aside."""


class DeliveryList(TypedDict):
    """One page of an endpoint's deliveries, newest first."""

    data: list[DeliveryView]
    """The deliveries."""
    has_more: bool
    """Whether there are older ones."""
    next_cursor: str | None


class DeliveryView(TypedDict):
    """One event on its way to one endpoint."""

    id: str
    """The id of a delivery: its `webhook-id`."""
    type: str
    """What it tells."""
    generation_id: str | None
    status: Literal["pending", "delivered", "given_up", "dropped"]
    created_at: str
    """When that happened of which it tells."""
    next_try_at: str | None
    tries: list[TryView]
    """What came of the tries so far."""


class DurationView(TypedDict):
    """The durations that a feature takes, in seconds."""

    min: int
    """The shortest; 0 keeps the length of the clip that is edited, and 1 is never taken."""
    max: int
    """The longest."""
    default: int
    """Taken when none is sent."""


class EditVideo(TypedDict):
    """A clip to be edited as the prompt says."""

    prompt: str
    """How the clip is to be changed."""
    video_url: str
    """The clip to edit. MP4 or MOV, 2 to 10 s, 240 to 4096 pixels per side, at most 100 MB."""
    reference_image_url: NotRequired[str]
    """An image the prompt may refer to. JPEG, PNG, BMP or WEBP, 240 to 8000 pixels per side, at most 20 MB. Also a `data:` URL."""
    resolution: NotRequired[Literal["720p", "1080p"]]
    """The tier of the result."""
    aspect_ratio: NotRequired[Literal["16:9", "9:16", "1:1", "4:3", "3:4"] | None]
    """The shape of the result; null keeps the clip's."""
    duration: NotRequired[int]
    """How many seconds of the clip are used, from its start; 0 uses all of it. A decimal string is taken too."""
    audio_setting: NotRequired[Literal["auto", "origin"]]
    """The clip's sound: origin keeps it, auto keeps it unless the prompt describes another."""
    seed: NotRequired[int | None]
    """Fixes the noise the result is made from; drawn and shown when absent. Further results take the seeds that follow."""
    n: NotRequired[int]
    """How many results to make; the price is multiplied by it."""
    webhook_url: NotRequired[str]
    """Where to announce this generation's events."""


class EndpointList(TypedDict):
    """A workspace's endpoints, oldest first."""

    data: list[EndpointView]
    """The endpoints."""


class EndpointView(TypedDict):
    """Where a workspace is told what becomes of its generations."""

    id: str
    """The id of a webhook endpoint."""
    url: str
    """Where it is."""
    events: list[Literal["task.created", "task.started", "task.completed", "task.failed", "task.canceled"]]
    """What it is told of; empty is everything."""
    description: str
    """For people."""
    enabled: bool
    """Whether it is told anything."""
    disabled_reason: str | None
    created_at: str
    """When it was made."""
    secret: NotRequired[str]
    """What signs deliveries, as Standard Webhooks writes secrets."""


class EngineQueueView(TypedDict):
    """How busy an engine is."""

    workers: int
    """Workers that take work for it. 0: what is created waits for one to come."""
    queued: int
    """Generations that wait for it."""
    running: int
    """Generations that it makes."""
    queue_seconds: float
    """About how long one slot would need for what waits, in seconds."""


class EngineView(TypedDict):
    """An engine that makes videos."""

    id: str
    """Its name."""
    about: str
    """What it is good for."""
    features: list[Literal["text-image", "frames", "reference", "edit-video"]]
    queue: NotRequired[EngineQueueView]
    """How busy it is, a few seconds ago at most; absent where that cannot be told."""


class EntryList(TypedDict):
    """One page of the ledger, newest first."""

    data: list[EntryView]
    """The entries."""
    has_more: bool
    """Whether there are older ones."""
    next_cursor: str | None


class EntryView(TypedDict):
    """One entry of the ledger."""

    id: str
    """Its id."""
    created_at: str
    """When."""
    type: Literal["grant", "purchase", "hold", "capture", "release", "expire", "adjust"]
    generation_id: NotRequired[str]
    """The generation it belongs to."""
    amount: Amount
    """What it moves. A capture moves what was held to what is spent: 0, or the surplus that it frees."""


class ErrorBody(TypedDict):
    """The body of every error."""

    error: str
    """An older alias of `code`."""
    code: str
    """What to branch on."""
    message: str
    """The same for people."""
    errors: NotRequired[list[FieldError]]
    """Every member that is at fault, where members are."""


class EventData(TypedDict):
    """One event of a stream."""

    id: str
    """The id of a generation."""
    status: QueueState
    """Where it stands."""
    data: VideoData | None
    """The result; null until there is one, and after its media were removed."""
    usage: Usage
    """The credits it holds, or has cost."""
    progress: float
    """How much of it is behind; never decreases."""
    stage: str
    """What is being done. An open set."""
    code: NotRequired[Literal["VIDEO_GENERATION_INVALID_INPUT", "VIDEO_GENERATION_CONTENT_REJECTED", "VIDEO_GENERATION_TIMEOUT", "VIDEO_GENERATION_PROVIDER_UNAVAILABLE", "VIDEO_GENERATION_RATE_LIMITED", "VIDEO_GENERATION_FAILED"]]
    """Why there is no result."""
    message: NotRequired[str]
    """The same for people."""


class FeatureView(TypedDict):
    """The limits of one feature."""

    feature: Literal["text-image", "frames", "reference", "edit-video"]
    starts: list[Literal["text", "first-frame", "first-and-last-frame", "clip", "clip-and-last-frame", "references", "clip-to-edit"]]
    resolutions: list[Literal["720p", "1080p"]]
    aspect_ratios: list[Literal["16:9", "9:16", "1:1", "4:3", "3:4"]]
    duration: DurationView
    """Seconds."""
    max_reference_images: int
    """The most reference images."""
    max_reference_videos: int
    """The most reference videos."""
    max_references: int
    """The most references of both kinds together."""
    audio_input: bool
    """Whether `audio_url` is taken."""


class FieldError(TypedDict):
    """What is wrong with one member."""

    field: str
    """The member, with an index for array items."""
    message: str
    """The rest of a sentence that starts with the member."""


class GenerationList(TypedDict):
    """One page of a workspace's generations, newest first."""

    data: list[GenerationView]
    """The generations."""
    has_more: bool
    """Whether there are older ones."""
    next_cursor: str | None


class GenerationView(TypedDict):
    """One generation."""

    id: str
    """The id of a generation."""
    status: QueueState
    """Where it stands."""
    input: Input
    """The input as it was understood."""
    data: VideoData | None
    """The result; null until there is one, and after its media were removed."""
    data_removed: NotRequired[bool]
    """Present and true once its media were removed."""
    usage: Usage
    """The credits it holds, or has cost."""
    code: NotRequired[Literal["VIDEO_GENERATION_INVALID_INPUT", "VIDEO_GENERATION_CONTENT_REJECTED", "VIDEO_GENERATION_TIMEOUT", "VIDEO_GENERATION_PROVIDER_UNAVAILABLE", "VIDEO_GENERATION_RATE_LIMITED", "VIDEO_GENERATION_FAILED"]]
    """Why there is no result."""
    message: NotRequired[str]
    """The same for people."""
    progress: float
    """How much of it is behind; never decreases."""
    stage: str
    """What is being done. An open set."""
    model: str
    """The model it was posted to."""
    created_at: str
    """When it was submitted."""
    started_at: NotRequired[str]
    """When work on it began."""
    completed_at: NotRequired[str]
    """When it came to its end."""
    urls: Urls
    """Where to go from here."""


class Input(TypedDict):
    """The input as it was understood. Absent and inapplicable members are left out."""

    feature: Literal["text-image", "frames", "reference", "edit-video"]
    prompt: NotRequired[str]
    """The prompt."""
    negative_prompt: NotRequired[str]
    """What the clip should not show."""
    image_url: NotRequired[str]
    """The first frame."""
    end_image_url: NotRequired[str]
    """The last frame."""
    video_url: NotRequired[str]
    """The clip that is continued or edited."""
    reference_image_urls: NotRequired[list[str]]
    """"Image 1", "Image 2" … of the prompt."""
    reference_image_url: NotRequired[str]
    """The image that an edit refers to."""
    video_refs: NotRequired[list[str]]
    """"Video 1", "Video 2" … of the prompt."""
    audio_url: NotRequired[str]
    """The sound that drives or goes with the clip."""
    aspect_ratio: NotRequired[Literal["16:9", "9:16", "1:1", "4:3", "3:4"]]
    resolution: Literal["720p", "1080p"]
    duration: int
    """Seconds; 0 keeps the length of the clip that is edited."""
    enable_prompt_expansion: NotRequired[bool]
    """Whether the prompt may be expanded."""
    multi_shots: NotRequired[bool]
    """Whether the clip has several shots."""
    audio_setting: Literal["auto", "origin"]
    seed: int
    """Given or drawn."""
    n: NotRequired[int]
    """How many clips are made, on the endpoint that asks for it."""


class KeyList(TypedDict):
    """A workspace's keys, oldest first, revoked ones included."""

    data: list[KeyView]
    """The keys."""


class KeyView(TypedDict):
    """An API key."""

    id: str
    """The id of an API key: its name, not its secret."""
    name: str
    """What people call it."""
    scope: Literal["full", "read"]
    current: bool
    """Whether it is the one that asks."""
    created_at: str
    """When it was made."""
    revoked_at: str | None
    key: NotRequired[str]
    """What clients send: shown when the key is made, and never again."""


class ModelView(TypedDict):
    """One model."""

    id: str
    """Provider and model, as they stand in paths."""
    endpoint: str
    """Where to post to."""
    sse_endpoint: str
    """Where to post to for a stream of events."""
    engines: list[EngineView]
    """The engines that make its videos, in order of preference."""
    features: list[FeatureView]
    """What it can do here, and its limits."""
    prices: list[PriceView]
    """What it costs."""


class ModelsView(TypedDict):
    """The models."""

    data: list[ModelView]
    """One entry a model."""


class NewEndpoint(TypedDict):
    """An endpoint to be made."""

    url: str
    """Where it is: https, public, without redirects."""
    events: NotRequired[list[Literal["task.created", "task.started", "task.completed", "task.failed", "task.canceled"]]]
    """What it is told of; empty is everything."""
    description: NotRequired[str]
    """For people."""
    enabled: NotRequired[bool]
    """Whether it is told anything; true unless it is said."""


class NewKey(TypedDict):
    """A key to be made."""

    name: str
    """What people call it."""
    scope: NotRequired[Literal["full", "read"]]


class PriceView(TypedDict):
    """The price of one feature at one resolution."""

    resolution: Literal["720p", "1080p"]
    feature: Literal["text-image", "frames", "reference", "edit-video"]
    credits_per_second: int
    """Credits for each second."""
    bills_input: bool
    """Whether seconds of input clips count too."""


class QueuedDelivery(TypedDict):
    """A delivery that was queued by hand."""

    id: str
    """The id of a delivery: its `webhook-id`."""


class QuoteView(TypedDict):
    """What a request would cost."""

    feature: Literal["text-image", "frames", "reference", "edit-video"]
    input: Input
    """The input as it was understood."""
    usage: Usage
    """`total` is the price. It is divided as a hold would divide it now; where the balance does not suffice, the pools show what is there."""
    breakdown: Breakdown
    """How the price comes about."""
    exact: bool
    """False where the length of an input is not known yet: the price is then the upper bound."""
    sufficient: bool
    """Whether the balance suffices."""


class RunningItem(TypedDict):
    """A generation that is queued or in progress."""

    id: str
    """The id of a generation."""
    status: QueueState
    """Where it stands."""
    usage: Usage
    """The credits it holds."""
    input: Input
    """The input as it was understood."""


class SigningSecretView(TypedDict):
    """What signs the deliveries to the `webhook_url` of requests."""

    secret: str
    """What signs deliveries, as Standard Webhooks writes secrets."""


class TryView(TypedDict):
    """What came of one try."""

    at: str
    """When it was made."""
    status: int | None
    latency_ms: int
    """How long it took."""
    answer: str
    """The first bytes of the answer."""
    error: str | None
    next_try_at: str | None


class Urls(TypedDict):
    """Where to go from a generation."""

    get: str
    """Reads it."""
    cancel: str
    """Cancels it."""
    events: str
    """Follows it."""


class Usage(TypedDict):
    """Credits set aside or spent, by pool."""

    total: int
    """The sum of the two pools."""
    subscription: int
    """Of the monthly pool."""
    permanent: int
    """Of the purchased packs."""


class VideoData(TypedDict):
    """The result of a generation."""

    type: Literal["video"]
    n: int
    """How many clips there are."""
    actual_prompt: str | None
    seed: int
    """The seed of the first clip."""
    videos: list[VideoFile]
    """The clips."""
    video: VideoFile
    """The first clip."""
    warnings: list[WarningView]
    """What was done differently from what was asked."""


class VideoFile(TypedDict):
    """One clip."""

    url: str
    """Where to read it, for a while."""
    file_name: str
    """Its name."""
    content_type: str
    """Always `video/mp4`."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    duration: float
    """Seconds."""
    fps: int
    """Frames a second."""
    num_frames: int
    """Frames."""
    file_size: int
    """Bytes."""
    poster_url: str
    """Where to read the JPEG of its first frame, for a while."""


class WarningView(TypedDict):
    """Something that was done differently from what was asked."""

    code: str
    """A stable word."""
    message: str
    """A sentence."""
