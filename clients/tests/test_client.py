"""The Python client of clients/python: the whole life of a video, uploads, a cancel, errors, the ledger, webhooks, keys."""

import base64
import hashlib
import hmac
import json
import queue
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kinora
import pytest
from conftest import is_mp4
from kinora import Kinora, Progress, verify_webhook

PACKAGE = Path(kinora.__file__).parents[2]
SHORT = {"duration": 2, "resolution": "720p"}


@pytest.fixture
def client(url: str, api_key: str) -> Kinora:
    return Kinora(url, api_key, retries=0)


def test_everything_at_once(client: Kinora, tmp_path: Path) -> None:
    seen: list[Progress] = []
    path = tmp_path / "ball.mp4"
    before = client.credits()["total"]
    video = client.generate(prompt="a red ball", seed=7, save=path, on_progress=seen.append, **SHORT)
    assert video.path == path
    data = video.generation["data"]
    assert data is not None
    assert (data["seed"], data["video"]["width"], data["video"]["duration"]) == (7, 1280, 2.0)
    assert is_mp4(path.read_bytes())
    assert path.stat().st_size == data["video"]["file_size"]
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"

    assert [one.status for one in seen][-1] == "COMPLETED"
    fractions = [one.fraction for one in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0

    assert client.credits()["total"] == before - 20
    entries = [e for e in client.entries(limit=10)["data"] if e.get("generation_id") == video.generation["id"]]
    assert [entry["type"] for entry in entries] == ["capture", "hold"]
    assert entries[1]["amount"]["total"] == -20

    client.delete(video.generation["id"])
    assert client.get(video.generation["id"]).get("data_removed") is True
    with pytest.raises(kinora.GoneError):
        client.save(video.generation, tmp_path / "gone.mp4")
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_saved_is_not_paid_for(client: Kinora, tmp_path: Path) -> None:
    before = client.credits()
    for save, expected in [(tmp_path / "nowhere" / "ball.mp4", FileNotFoundError), (tmp_path, IsADirectoryError)]:
        with pytest.raises(expected):
            client.generate(prompt="a red ball", save=save, **SHORT)
    assert client.credits() == before
    assert list(tmp_path.iterdir()) == []


def test_uploads(client: Kinora, media: Path) -> None:
    first, last = media / "first.png", media / "last.png"
    video = client.generate(prompt="from here to there", files={"image_url": first, "end_image_url": last}, **SHORT)
    assert video.generation["input"]["feature"] == "frames"
    assert video.generation["input"]["image_url"] == "upload://first.png"
    quote = client.quote(prompt="both", files={"reference_image_urls": [first, last]}, duration=2, resolution="720p")
    assert quote["input"]["reference_image_urls"] == ["upload://first.png", "upload://last.png"]
    assert quote["usage"]["total"] == 20
    edit = client.edit(prompt="make it night", resolution="720p", files={"video_url": media / "clip.mp4"})  # type: ignore[call-arg]
    assert edit["status"] in ("IN_QUEUE", "IN_PROGRESS")
    made = client.wait(edit["id"])["data"]
    assert made is not None and len(made["videos"]) == 1


def test_cancel(client: Kinora) -> None:
    created = client.create(prompt="long", duration=15)
    assert created["id"] in [item["id"] for item in client.running()]
    threading.Timer(0.5, client.cancel, [created["id"]]).start()
    with pytest.raises(kinora.GenerationCanceled) as canceled:
        client.wait(created["id"])
    assert canceled.value.generation["status"] == "CANCELED"
    assert canceled.value.generation["usage"]["total"] == 0
    with pytest.raises(kinora.WaitTimeout):
        other = client.create(prompt="long", duration=15)
        try:
            client.wait(other["id"], timeout=0.2)
        finally:
            client.cancel(other["id"])


def test_ctrl_c_cancels(client: Kinora) -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.generate(prompt=f"interrupted {uuid.uuid4()}", duration=15, on_progress=interrupt)
    newest = client.generations(limit=1)["data"][0]
    assert newest["status"] == "CANCELED" or newest["stage"] == "canceling", newest


def test_errors(client: Kinora, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(kinora.InvalidInputError) as refused:
        client.create(prompt="a boat", duration=20, resolution="8k")  # type: ignore[arg-type]
    assert (refused.value.status, refused.value.code) == (422, "VIDEO_GENERATION_INVALID_INPUT")
    assert {error["field"] for error in refused.value.errors} == {"duration", "resolution"}
    assert refused.value.request_id and refused.value.request_id.startswith("req_")
    with pytest.raises(kinora.NotFoundError):
        client.get("gen_00000000000000000000000000")
    with pytest.raises(kinora.AuthenticationError):
        Kinora(url, "nonsense", retries=0).credits()
    with pytest.raises(kinora.ConnectionFailed):
        Kinora("http://127.0.0.1:9", "key", retries=0).credits()
    with pytest.raises(kinora.GenerationFailed) as failed:
        # Accepted, and found not to be there when it is fetched.
        client.generate(prompt="a boat", image_url="https://nowhere.invalid/a.png", **SHORT)
    assert failed.value.code == "VIDEO_GENERATION_INVALID_INPUT"
    assert "image_url" in failed.value.message
    for bad in ["ftp://host", "127.0.0.1:8080"]:
        with pytest.raises(ValueError, match="URL"):
            Kinora(bad, "key")
    monkeypatch.delenv("KINORA_API_KEY")
    with pytest.raises(ValueError, match="API key"):
        Kinora(url)


def test_one_key_is_one_request(client: Kinora) -> None:
    key = str(uuid.uuid4())
    first = client.create(prompt="once", idempotency_key=key, **SHORT)
    again = client.create(prompt="once", idempotency_key=key, **SHORT)
    assert first["id"] == again["id"]
    with pytest.raises(kinora.InvalidInputError) as reused:
        client.create(prompt="twice", idempotency_key=key, **SHORT)
    assert reused.value.code == "IDEMPOTENCY_KEY_REUSED"
    events = list(client.events(first["id"]))
    assert events[-1]["status"] == "COMPLETED"
    page = client.generations(status=["COMPLETED"], limit=1)
    assert page["data"][0]["status"] == "COMPLETED"
    models = [model["id"] for model in client.models()["data"]]
    assert models == ["wan/wan-v2.7-video", "wan/wan-v2.7/edit-video"]


class Unreliable(BaseHTTPRequestHandler):
    """A server whose streams break off and whose answers fail at times."""

    streams: list[str | None] = []
    polls = 0
    answers: list[int] = []
    posts: list[str] = []

    def do_POST(self) -> None:
        type(self).posts.append(self.path)
        self.send_response(503)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        cls = type(self)
        if self.path.endswith("/events"):
            cls.streams.append(self.headers["Last-Event-ID"])
            if len(cls.streams) > 2:
                self.send_response(503)
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            number = len(cls.streams)
            event = {"id": "gen_1", "status": "IN_PROGRESS", "stage": "denoising", "progress": number / 10}
            # Two broken lines: a comment, a whole event, and half of one.
            self.wfile.write(f": ping\n\nid: {number}\ndata: {json.dumps(event)}\n\nid: 99\ndata: {{".encode())
            return
        cls.polls += 1
        status = "COMPLETED" if cls.polls > 2 else "IN_PROGRESS"
        body = json.dumps({"id": "gen_1", "status": status, "stage": "x", "progress": 0.5}).encode()
        self.send_response(cls.answers.pop(0) if cls.answers else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def unreliable() -> Iterator[str]:
    Unreliable.streams, Unreliable.polls, Unreliable.answers = [], 0, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Unreliable)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_streams_are_resumed_and_given_up_for_polling(unreliable: str) -> None:
    seen: list[float] = []
    client = Kinora(unreliable, "key", retries=0)
    generation = client.wait("gen_1", on_progress=lambda one: seen.append(one.fraction), poll_interval=0.01)
    assert generation["status"] == "COMPLETED"
    assert Unreliable.streams == [None, "1", "2", "2", "2"]
    assert seen[:2] == [0.1, 0.2]


def test_what_passes_is_tried_again(unreliable: str) -> None:
    Unreliable.answers = [503, 429, 502]
    assert Kinora(unreliable, "key", retries=3).get("gen_1")["id"] == "gen_1"
    Unreliable.answers = [500]
    with pytest.raises(kinora.ServerError):
        Kinora(unreliable, "key", retries=0).get("gen_1")
    Unreliable.answers = [404]
    with pytest.raises(kinora.NotFoundError):
        Kinora(unreliable, "key", retries=3).get("gen_1")
    assert Unreliable.answers == []


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is told, and answers as it is bidden."""

    told: queue.Queue[tuple[bytes, dict[str, str]]]
    answer = 204

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(type(self).answer)
        self.end_headers()
        type(self).told.put((body, dict(self.headers)))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    Receiver.told, Receiver.answer = queue.Queue(), 204
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_what_a_server_sends_is_believed(client: Kinora, receiver: str) -> None:
    created = client.create(prompt="tell me", webhook_url=receiver, **SHORT)
    client.cancel(created["id"])
    secret, seen = client.signing_secret(), set()
    while "task.canceled" not in seen:
        body, headers = Receiver.told.get(timeout=30)
        event = verify_webhook(body, headers, secret)
        assert event["prediction"]["id"] == created["id"]
        seen.add(event["type"])
        with pytest.raises(kinora.SignatureError):
            verify_webhook(body.replace(b"task.", b"tusk."), headers, secret)
    assert "task.created" in seen


def test_an_endpoint_from_its_making_to_its_end(client: Kinora, receiver: str) -> None:
    with pytest.raises(kinora.InvalidInputError) as refused:
        client.create_webhook(url="http://10.0.0.1/", events=["task.done"])  # type: ignore[list-item]
    assert {error["field"] for error in refused.value.errors} == {"url", "events[0]"}
    made = client.create_webhook(url=receiver, events=["task.canceled"], description="the shop")
    webhook, secret = made["id"], made["secret"]
    shown = client.webhook(webhook)
    assert "secret" not in shown and shown in client.webhooks()
    assert (shown["events"], shown["description"], shown["enabled"]) == (["task.canceled"], "the shop", True)

    def told(event_type: str, *secrets: str) -> tuple[str, dict[str, Any]]:
        body, headers = Receiver.told.get(timeout=30)
        for one in secrets:
            event = verify_webhook(body, headers, one)
        assert event["type"] == event_type
        return headers["webhook-id"], event

    delivery = client.test_webhook(webhook)
    assert told("webhook.test", secret)[0] == delivery

    Receiver.answer = 503
    created = client.create(prompt="long", duration=15)
    client.cancel(created["id"])
    delivery, event = told("task.canceled", secret)
    assert event["prediction"]["id"] == created["id"]
    Receiver.answer = 204
    # A try that is still being written down would be overtaken.
    logged = _when(lambda: client.webhook_deliveries(webhook)["data"][0], lambda one: len(one["tries"]) == 1)
    assert (logged["id"], logged["status"], logged["tries"][0]["status"]) == (delivery, "pending", 503)
    client.retry_webhook_delivery(webhook, delivery)
    assert told("task.canceled", secret)[0] == delivery
    logged = _when(lambda: client.webhook_deliveries(webhook)["data"][0], lambda one: one["status"] == "delivered")
    assert [one["status"] for one in logged["tries"]] == [503, 204]
    page = client.webhook_deliveries(webhook, limit=1)
    older = client.webhook_deliveries(webhook, limit=1, cursor=page["next_cursor"])
    assert [one["type"] for one in page["data"] + older["data"]] == ["task.canceled", "webhook.test"]

    fresh = client.rotate_webhook_secret(webhook)["secret"]
    assert fresh != secret
    client.test_webhook(webhook)
    told("webhook.test", secret, fresh)

    assert client.change_webhook(webhook, enabled=False, events=[])["enabled"] is False
    with pytest.raises(kinora.ConflictError) as disabled:
        client.test_webhook(webhook)
    assert disabled.value.code == "WEBHOOK_ENDPOINT_DISABLED"
    client.delete_webhook(webhook)
    with pytest.raises(kinora.NotFoundError):
        client.webhook(webhook)


def _when(look: Callable[[], Any], holds: Callable[[Any], bool]) -> Any:
    """What is seen once it is so."""
    end = time.monotonic() + 30
    while not holds(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.1)
    return seen


def test_keys(client: Kinora, url: str) -> None:
    made = client.create_key(name="dashboard", scope="read")
    other = Kinora(url, made["key"], retries=0)
    other.credits()
    with pytest.raises(kinora.ForbiddenError):
        other.create(prompt="a boat", **SHORT)
    [own] = [key for key in client.keys() if key["current"]]
    assert [key["id"] for key in other.keys() if key["current"]] == [made["id"]]
    assert all("key" not in key for key in client.keys())
    with pytest.raises(kinora.ConflictError) as in_use:
        client.revoke_key(own["id"])
    assert in_use.value.code == "KEY_IN_USE"
    client.revoke_key(made["id"])
    with pytest.raises(kinora.AuthenticationError):
        other.credits()
    assert [key["revoked_at"] is None for key in client.keys() if key["id"] == made["id"]] == [False]


def test_what_would_do_harm_twice_is_not_tried_again(unreliable: str) -> None:
    client = Kinora(unreliable, "key", retries=3)
    for call in [
        lambda: client.create_key(name="once"),
        lambda: client.create_webhook(url="https://example.com/"),
        lambda: client.rotate_webhook_secret("whe_1"),
        lambda: client.test_webhook("whe_1"),
        lambda: client.retry_webhook_delivery("whe_1", "dlv_1"),
    ]:
        Unreliable.posts.clear()
        with pytest.raises(kinora.ServerError):
            call()
        assert len(Unreliable.posts) == 1
    assert Unreliable.posts == ["/api/v1/webhooks/whe_1/deliveries/dlv_1/retry"]


def signed(secret: bytes, body: bytes, sent: int, webhook_id: str = "msg_1") -> dict[str, str]:
    mac = hmac.new(secret, f"{webhook_id}.{sent}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1a,ignored v1,{base64.b64encode(mac).decode()}"
    return {"Webhook-Id": webhook_id, "Webhook-Timestamp": str(sent), "Webhook-Signature": signature}


def test_webhooks() -> None:
    secret, now = b"k" * 32, 1_800_000_000
    text = "whsec_" + base64.b64encode(secret).decode()
    body = '{"type":"task.completed","prediction":{"id":"gen_1","prompt":"ä"}}'.encode()
    headers = signed(secret, body, now)
    assert verify_webhook(body, headers, text, now=now)["type"] == "task.completed"
    other = "whsec_" + base64.b64encode(b"o" * 24).decode()
    assert verify_webhook(body, headers, [other, text], now=now + 299)["type"] == "task.completed"
    assert verify_webhook(body, signed(secret, body, int(time.time())), text)

    refused = [
        (body + b" ", headers, text, now),
        (body, headers, other, now),
        (body, headers, text, now + 301),
        (body, headers, text, now - 301),
        (body, {**headers, "Webhook-Id": "msg_2"}, text, now),
        (body, {**headers, "Webhook-Timestamp": str(now + 1)}, text, now),
        (body, {**headers, "Webhook-Timestamp": "soon"}, text, now),
        (body, {**headers, "Webhook-Signature": ""}, text, now),
        (body, {**headers, "Webhook-Signature": headers["Webhook-Signature"].replace("v1,", "v2,")}, text, now),
        (body, {}, text, now),
    ]
    for body_, headers_, secrets, at in refused:
        with pytest.raises(kinora.SignatureError):
            verify_webhook(body_, headers_, secrets, now=at)
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(body, headers, "whsec_§", now=now)


def test_the_example_of_the_standard() -> None:
    """The vector that the libraries of Standard Webhooks are tested with."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert verify_webhook(b'{"test": 2432232314}', headers, secret, now=1614265330) == {"test": 2432232314}


def test_types_hold_together() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", "--cache-dir", "/dev/null"],
        cwd=PACKAGE,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
