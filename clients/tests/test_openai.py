"""The `openai` package as it comes from PyPI, against `/v1/videos`."""

import base64
import uuid
import warnings
from pathlib import Path

import openai
import pytest
from conftest import is_mp4
from openai import OpenAI

# The package warns that the hosted service is gone; here it is not.
warnings.simplefilter("ignore", DeprecationWarning)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(url: str, api_key: str) -> OpenAI:
    # No second try of its own: what is asked for here has to work at once.
    return OpenAI(base_url=f"{url}/v1", api_key=api_key, max_retries=0)


def test_the_whole_life(client: OpenAI, tmp_path: Path) -> None:
    created = client.videos.create(prompt="a paper boat", model="sora-2", seconds="2", size="1280x720")
    assert created.status == "queued"
    assert created.object == "video"
    assert (created.seconds, created.size, created.progress) == ("2", "1280x720", 0)

    video = client.videos.poll(created.id, poll_interval_ms=100)
    assert video.status == "completed", video
    assert video.progress == 100
    assert video.error is None
    assert video.completed_at is not None and video.completed_at >= video.created_at
    assert video.expires_at is not None and video.expires_at > video.completed_at

    path = tmp_path / "boat.mp4"
    client.videos.download_content(video.id).write_to_file(path)
    assert is_mp4(path.read_bytes())
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").read()
    assert thumbnail[:2] == b"\xff\xd8"
    with client.videos.with_streaming_response.download_content(
        video.id, extra_headers={"Range": "bytes=4-7"}
    ) as part:
        assert part.status_code == 206
        assert part.read() == b"ftyp"

    assert video.id in [listed.id for listed in client.videos.list(limit=1)]
    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)


def test_create_and_poll_with_a_first_frame(client: OpenAI, media: Path) -> None:
    # Without an interval of its own it waits as long as the server's header says.
    with (media / "first.png").open("rb") as file:
        video = client.videos.create_and_poll(
            prompt="it moves",
            seconds="2",
            size="720x1280",
            input_reference=file,
            extra_body={"seed": 7, "negative_prompt": "text"},
        )
    assert video.status == "completed", video
    assert video.size == "720x1280"


def test_a_first_frame_by_url(client: OpenAI, media: Path) -> None:
    data = base64.b64encode((media / "first.png").read_bytes()).decode()
    # The package's own argument takes files only, whatever its types say.
    reference = {"input_reference": {"image_url": f"data:image/png;base64,{data}"}}
    created = client.videos.create(prompt="it moves", seconds="2", extra_body=reference)
    assert client.videos.poll(created.id, poll_interval_ms=100).status == "completed"


def test_pages(client: OpenAI) -> None:
    ids = [client.videos.create(prompt=f"page {n}", seconds="12").id for n in range(3)]
    newest = [video.id for video in client.videos.list(limit=2, order="desc")][:3]
    assert newest == ids[::-1]
    assert [video.id for video in client.videos.list(limit=1, order="asc", after=ids[0])] == ids[1:]
    for video in ids:
        # Running or queued: canceled first.
        assert client.videos.delete(video).deleted


def test_one_key_is_one_request(client: OpenAI) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = client.videos.create(prompt="once", seconds="2", extra_headers=key)
    again = client.videos.create(prompt="once", seconds="2", extra_headers=key)
    assert first.id == again.id
    with pytest.raises(openai.UnprocessableEntityError) as reused:
        client.videos.create(prompt="twice", seconds="2", extra_headers=key)
    assert reused.value.code == "IDEMPOTENCY_KEY_REUSED"
    client.videos.delete(first.id)


@pytest.mark.parametrize(
    ("wanted", "error", "param", "words"),
    [
        ({"size": "1024x1792"}, openai.BadRequestError, "size", "1280x720"),
        ({"model": "sora-2-pro"}, openai.BadRequestError, "model", "wan-v2.7-video"),
        ({"seconds": "20"}, openai.UnprocessableEntityError, "seconds", "2 to 15"),
        ({"extra_body": {"input_reference": {"file_id": "file_1"}}}, openai.BadRequestError, "input_reference", "file_id"),
        ({"prompt": "x" * 5001}, openai.UnprocessableEntityError, "prompt", "1 to 5000"),
    ],
)
def test_refusals(client: OpenAI, wanted: dict, error: type, param: str, words: str) -> None:
    with pytest.raises(error) as refused:
        client.videos.create(**{"prompt": "a boat", **wanted})
    assert refused.value.param == param
    assert words in refused.value.message


def test_a_first_frame_that_is_too_small(client: OpenAI, media: Path) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.videos.create(prompt="a boat", input_reference=media / "tiny.png")
    assert refused.value.param == "input_reference"


def test_what_is_not_offered(client: OpenAI, url: str) -> None:
    created = client.videos.create(prompt="a boat", seconds="2")
    with pytest.raises(openai.BadRequestError):
        client.videos.download_content(created.id, variant="spritesheet")
    with pytest.raises(openai.NotFoundError):
        client.videos.remix(created.id, prompt="a ship")
    client.videos.delete(created.id)
    with pytest.raises(openai.NotFoundError):
        client.videos.download_content(created.id)
    with pytest.raises(openai.AuthenticationError) as refused:
        OpenAI(base_url=f"{url}/v1", api_key="nonsense", max_retries=0).videos.list()
    assert refused.value.type == "authentication_error"
