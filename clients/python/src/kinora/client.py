"""The client: one method for each thing the API can do, and `generate`, which does all that a video takes."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Unpack, cast
from urllib.parse import quote, urlencode

from . import transport
from .errors import ApiError, ConnectionFailed, GenerationCanceled, GenerationFailed, WaitTimeout
from .types import (
    OPERATIONS,
    ChangedEndpoint,
    CreatedEdit,
    CreatedGeneration,
    CreateGeneration,
    CreditsView,
    DeliveryList,
    EditVideo,
    EndpointList,
    EndpointView,
    EntryList,
    EventData,
    GenerationList,
    GenerationView,
    KeyList,
    KeyView,
    ModelsView,
    NewEndpoint,
    NewKey,
    QueuedDelivery,
    QueueState,
    QuoteView,
    RunningItem,
    SigningSecretView,
)

#: Files to send, by the member they stand for: `{"image_url": "first.png", "video_refs": ["a.mp4", "b.mp4"]}`.
Files = Mapping[str, "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"]

_TERMINAL = ("COMPLETED", "FAILED", "CANCELED")
#: Streams that break off one after the other before the client asks instead.
_STREAMS_MAX = 3


@dataclass(frozen=True)
class Progress:
    """How far a generation is."""

    #: Where it stands.
    status: QueueState
    #: What is being done: `denoising`, `decoding` …
    stage: str
    #: How much of the whole is behind, 0 to 1.
    fraction: float


@dataclass(frozen=True)
class Video:
    """What `generate` has made."""

    #: The generation, with the result and its signed URLs.
    generation: GenerationView
    #: Where the file was saved.
    path: Path | None

    @property
    def url(self) -> str:
        """Where the file can be read for a while, without a key."""
        data = self.generation["data"]
        assert data is not None, "a finished generation has a result"
        return data["video"]["url"]


class Kinora:
    """A Kinora server, and the right to ask it.

    `url` and `api_key` come from `KINORA_URL` and `KINORA_API_KEY` where they are not given. `timeout` is the longest
    silence of the server in seconds; `retries` is how often what may pass (429, 5xx, a broken line) is tried again.
    """

    def __init__(
        self, url: str | None = None, api_key: str | None = None, *, timeout: float = 60.0, retries: int = 4
    ) -> None:
        url = url or os.environ.get("KINORA_URL", "http://127.0.0.1:8080")
        api_key = api_key or os.environ.get("KINORA_API_KEY", "")
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"{url!r} is no http or https URL")
        if not api_key:
            raise ValueError("give an API key, or set KINORA_API_KEY")
        self._http = transport.Transport(f"{url.rstrip('/')}/api/v1", api_key, timeout, retries)

    # ---- everything at once ------------------------------------------------------------------------------------

    def generate(
        self,
        *,
        files: Files | None = None,
        save: str | os.PathLike[str] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        **request: Unpack[CreateGeneration],
    ) -> Video:
        """Makes a video: creates it, waits for its end, saves it.

        The members of the request are those of the API. Ctrl-C cancels the generation. Raises `GenerationFailed`, its
        `GenerationCanceled`, `WaitTimeout`, or what `create` raises; and `OSError` before anything is created, where
        nothing can be saved at `save`.
        """
        if save is not None:
            _try_to_save(Path(save))
        created = self.create(files=files, idempotency_key=idempotency_key, **request)
        with _Cancels(self, created["id"]):
            generation = self.wait(created["id"], on_progress=on_progress, timeout=timeout)
            return Video(generation, None if save is None else self.save(generation, save))

    def wait(
        self,
        generation_id: str,
        *,
        on_progress: Callable[[Progress], None] | None = None,
        timeout: float | None = None,
        poll_interval: float = 2.0,
    ) -> GenerationView:
        """The generation, once it has succeeded.

        Follows its events, and takes a stream that broke off up where it ended. Where streams do not get through, it
        asks every `poll_interval` seconds instead. The time is looked at with every sign of life: at least every 15 s.
        """
        end = None if timeout is None else time.monotonic() + timeout
        last: str | None = None
        failures = 0

        def in_time() -> None:
            if end is not None and time.monotonic() > end:
                raise WaitTimeout(generation_id, timeout or 0.0)

        def seen(status: QueueState, stage: str, fraction: float) -> bool:
            if on_progress is not None:
                on_progress(Progress(status, stage, fraction))
            if status in _TERMINAL:
                return True
            in_time()
            return False

        while failures < _STREAMS_MAX:
            heard = False
            try:
                for item in self._events(generation_id, last):
                    heard = True
                    if item is None:
                        in_time()
                        continue
                    last, event = item
                    if seen(event["status"], event["stage"], event["progress"]):
                        return self._ended(generation_id)
            except ApiError as error:
                if error.status not in transport.PASSING:
                    raise
            except ConnectionFailed:
                pass
            failures = 0 if heard else failures + 1
            in_time()
        while True:
            generation = self.get(generation_id)
            if seen(generation["status"], generation["stage"], generation["progress"]):
                return self._ended(generation_id)
            time.sleep(poll_interval)

    def save(self, generation: GenerationView, path: str | os.PathLike[str]) -> Path:
        """Saves the video of a finished generation. It appears whole or not at all."""
        data = generation["data"]
        if data is None:
            raise GenerationFailed(generation)
        file, target = data["video"], Path(path)
        part = tempfile.NamedTemporaryFile(dir=target.parent, prefix=".kinora-", delete=False)
        try:
            with part, self._http.open("GET", file["url"]) as answer:
                received = transport.copy(answer, part)
            if received != file["file_size"]:
                raise ConnectionFailed(f"the video broke off after {received} of {file['file_size']} bytes")
            os.chmod(part.name, 0o644)
            os.replace(part.name, target)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise
        return target

    # ---- one call each -----------------------------------------------------------------------------------------

    def create(
        self,
        *,
        files: Files | None = None,
        idempotency_key: str | None = None,
        **request: Unpack[CreateGeneration],
    ) -> CreatedGeneration:
        """Accepts a generation and holds its price. Safe to try again: it goes under an idempotency key."""
        created = self._create("create_generation", request, files, idempotency_key)
        return cast(CreatedGeneration, created)

    def edit(
        self, *, files: Files | None = None, idempotency_key: str | None = None, **request: Unpack[EditVideo]
    ) -> CreatedEdit:
        """Accepts an edit of a clip, which may have several results. A clip that is a file goes into `files`."""
        return cast(CreatedEdit, self._create("create_edit", request, files, idempotency_key))

    def quote(self, *, files: Files | None = None, **request: Unpack[CreateGeneration]) -> QuoteView:
        """What a request would cost. Nothing is kept or charged."""
        return cast(QuoteView, self._call("quote_generation", body=_body(request, files)))

    def get(self, generation_id: str) -> GenerationView:
        """One generation."""
        return cast(GenerationView, self._call("get_generation", generation_id))

    def generations(
        self, *, status: Sequence[QueueState] = (), limit: int = 50, cursor: str | None = None
    ) -> GenerationList:
        """A page of generations, newest first."""
        query = {"status": ",".join(status), "limit": limit, "cursor": cursor}
        return cast(GenerationList, self._call("list_generations", query=query))

    def running(self, *, limit: int = 50) -> list[RunningItem]:
        """What is queued or in progress."""
        items = self._call("list_running_generations", query={"limit": limit})
        return cast("list[RunningItem]", items)

    def events(self, generation_id: str, *, last_event_id: str | None = None) -> Iterator[EventData]:
        """The events of a generation, from its present state or from behind an earlier event, to its end."""
        return (item[1] for item in self._events(generation_id, last_event_id) if item is not None)

    def cancel(self, generation_id: str) -> GenerationView:
        """Ends a generation. One that runs ends as soon as its engine has stopped."""
        return cast(GenerationView, self._call("cancel_generation", generation_id))

    def delete(self, generation_id: str) -> None:
        """Removes the media of a generation that has ended."""
        self._do("delete_generation", generation_id)

    def credits(self) -> CreditsView:
        """What can be spent, and what is held."""
        return cast(CreditsView, self._call("get_credits"))

    def entries(self, *, limit: int = 50, cursor: str | None = None) -> EntryList:
        """A page of the ledger, newest first."""
        return cast(EntryList, self._call("list_credit_entries", query={"limit": limit, "cursor": cursor}))

    def models(self) -> ModelsView:
        """What the server offers, its limits and its prices."""
        return cast(ModelsView, self._call("list_models"))

    def signing_secret(self) -> str:
        """The secret that signs what is told to the `webhook_url` of a request, for `verify_webhook`."""
        return cast(SigningSecretView, self._call("get_signing_secret"))["secret"]

    # ---- webhook endpoints -------------------------------------------------------------------------------------

    def webhooks(self) -> list[EndpointView]:
        """Where the workspace is told what becomes of its generations."""
        return cast(EndpointList, self._call("list_webhooks"))["data"]

    def webhook(self, webhook_id: str) -> EndpointView:
        """One endpoint."""
        return cast(EndpointView, self._call("get_webhook", webhook_id))

    def create_webhook(self, **endpoint: Unpack[NewEndpoint]) -> EndpointView:
        """Makes an endpoint. Its `secret` is shown by this answer and never again. Is not tried again by itself."""
        body = transport.json_body(endpoint)
        return cast(EndpointView, self._call("create_webhook", body=body, repeatable=False))

    def change_webhook(self, webhook_id: str, **change: Unpack[ChangedEndpoint]) -> EndpointView:
        """Changes what is given; `enabled=False` lets what is still to be told wait."""
        body = transport.json_body(change)
        return cast(EndpointView, self._call("change_webhook", webhook_id, body=body))

    def delete_webhook(self, webhook_id: str) -> None:
        """Removes an endpoint and its log."""
        self._do("delete_webhook", webhook_id)

    def rotate_webhook_secret(self, webhook_id: str) -> EndpointView:
        """Gives an endpoint another `secret`, shown by this answer only. The old one signs beside it for a while."""
        return cast(EndpointView, self._call("rotate_webhook_secret", webhook_id, repeatable=False))

    def test_webhook(self, webhook_id: str) -> str:
        """Queues a test event; the id under which `webhook_deliveries` shows what came of it."""
        queued = self._call("test_webhook", webhook_id, repeatable=False)
        return cast(QueuedDelivery, queued)["id"]

    def webhook_deliveries(
        self, webhook_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> DeliveryList:
        """A page of what an endpoint was told, newest first, with every try."""
        query = {"limit": limit, "cursor": cursor}
        return cast(DeliveryList, self._call("list_webhook_deliveries", webhook_id, query=query))

    def retry_webhook_delivery(self, webhook_id: str, delivery_id: str) -> None:
        """Queues a delivery once more, whatever has become of it."""
        self._call("retry_webhook_delivery", webhook_id, delivery_id, repeatable=False)

    # ---- keys --------------------------------------------------------------------------------------------------

    def keys(self) -> list[KeyView]:
        """The keys of the workspace, oldest first, revoked ones included."""
        return cast(KeyList, self._call("list_keys"))["data"]

    def create_key(self, **key: Unpack[NewKey]) -> KeyView:
        """Makes a key. Its secret, `key`, is shown by this answer and never again. Is not tried again by itself."""
        return cast(KeyView, self._call("create_key", body=transport.json_body(key), repeatable=False))

    def revoke_key(self, key_id: str) -> None:
        """Ends a key, at once and for good. Not the one that asks: `ConflictError`."""
        self._do("revoke_key", key_id)

    # ---- how -----------------------------------------------------------------------------------------------

    def _create(
        self, operation: str, request: Mapping[str, Any], files: Files | None, key: str | None
    ) -> Any:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self._call(operation, headers=headers, body=_body(request, files))

    def _call(
        self,
        operation: str,
        *ids: str,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        body: transport.Body | None = None,
        repeatable: bool = True,
    ) -> Any:
        method, path = _place(operation, *ids)
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        if given:
            path += "?" + urlencode(given)
        return self._http.json(method, path, headers=headers, body=body, repeatable=repeatable)

    def _do(self, operation: str, *ids: str) -> None:
        method, path = _place(operation, *ids)
        self._http.open(method, path).close()

    def _events(self, generation_id: str, last: str | None) -> Iterator[tuple[str | None, EventData] | None]:
        method, path = _place("stream_events", generation_id)
        headers = {"Accept": "text/event-stream"} | ({} if last is None else {"Last-Event-ID": last})
        with self._http.open(method, path, headers=headers) as stream:
            try:
                for event in transport.read_events(stream):
                    yield None if event is None else (event.id, json.loads(event.data))
            except (*transport.BROKEN, ValueError) as source:
                raise ConnectionFailed(f"the events of {generation_id} broke off: {source}") from source

    def _ended(self, generation_id: str) -> GenerationView:
        """The generation as it is in the end; an error where that is not what was wanted."""
        generation = self.get(generation_id)
        if generation["status"] == "CANCELED":
            raise GenerationCanceled(generation)
        if generation["status"] != "COMPLETED":
            raise GenerationFailed(generation)
        return generation


def _try_to_save(path: Path) -> None:
    """Finds out before a video is paid for that it could not be saved."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    tempfile.TemporaryFile(dir=path.parent).close()


class _Cancels:
    """Cancels a generation where the person interrupts the program that waits for it."""

    def __init__(self, client: Kinora, generation_id: str) -> None:
        self._client = client
        self._generation_id = generation_id

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            try:
                self._client.cancel(self._generation_id)
            except (ApiError, ConnectionFailed):
                # The interruption is what the caller has to hear of.
                pass


def _place(operation: str, *ids: str) -> tuple[str, str]:
    """Method and path, with the ids in their order in place of its parameters."""
    method, path = OPERATIONS[operation]
    given = iter(ids)
    return method, re.sub(r"\{\w+\}", lambda _: quote(next(given), safe=""), path)


def _body(request: Mapping[str, Any], files: Files | None) -> transport.Body:
    if not files:
        return transport.json_body(request)
    listed: dict[str, list[Path]] = {}
    for name, given in files.items():
        paths = [given] if isinstance(given, (str, os.PathLike)) else given
        listed[name] = [Path(path) for path in paths]
    return transport.form_body(request, listed)
