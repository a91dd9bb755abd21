"""`kinora mcp`, through the Python package of the Model Context Protocol: the whole life of a video by tools alone."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import API_KEY, KINORA, URL, is_mp4
from mcp import Client, MCPError, StdioServerParameters

SHORT = {"duration": 2, "resolution": "720p", "seed": 7}


def kinora_mcp(**environment: str) -> StdioServerParameters:
    given = {"KINORA_URL": URL, "KINORA_API_KEY": API_KEY, "PATH": os.environ["PATH"], **environment}
    return StdioServerParameters(command=KINORA, args=["mcp"], env=given)


def with_tools(work: Callable[[Client], Awaitable[None]]) -> None:
    """Runs a test against a client of its own."""

    async def run() -> None:
        async with Client(kinora_mcp()) as client:
            await asyncio.wait_for(work(client), 120)

    asyncio.run(run())


def text_of(result: Any) -> str:
    return "\n".join(block.text for block in result.content)


async def done(client: Client, tool: str, arguments: dict[str, Any], **options: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments, **options)
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    return dict(result.structured_content)


async def refused(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, text_of(result)
    return text_of(result)


def test_what_there_is_to_call() -> None:
    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert list(tools) == ["generate", "edit", "continue", "status", "cancel", "list", "credits"]
        for tool in tools.values():
            assert tool.description
            assert tool.input_schema["type"] == "object"
        assert tools["edit"].input_schema["required"] == ["prompt", "video"]
        assert tools["credits"].annotations.read_only_hint

    with_tools(work)


def test_the_whole_life(tmp_path: Path, media: Path) -> None:
    async def work(client: Client) -> None:
        before = (await done(client, "credits", {}))["total"]
        told: list[tuple[float, float | None, str | None]] = []

        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, total, message))

        path = tmp_path / "ball.mp4"
        arguments = {"prompt": "a red ball", **SHORT, "save_to": str(path)}
        made = await done(client, "generate", arguments, progress_callback=progressed)
        assert is_mp4(path.read_bytes())
        assert made["path"] == str(path)
        assert (made["status"], made["credits"], made["seed"]) == ("COMPLETED", 20, 7)
        assert (made["width"], made["height"], made["duration"]) == (1280, 720, 2.0)
        assert made["file_size"] == path.stat().st_size
        fractions = [progress for progress, _, _ in told]
        assert fractions == sorted(set(fractions)) and fractions[-1] == 1.0
        assert {total for _, total, _ in told} == {1.0}
        assert told[-1][2] == "done"
        assert (await done(client, "credits", {}))["total"] == before - 20

        listed = await done(client, "list", {"limit": 1})
        assert listed["generations"][0]["id"] == made["id"]
        copy = tmp_path / "copy.mp4"
        status = await done(client, "status", {"id": made["id"], "save_to": str(copy)})
        assert status["status"] == "COMPLETED"
        assert copy.read_bytes() == path.read_bytes()

        # The clip that came out goes in again.
        longer = tmp_path / "longer.mp4"
        continued = await done(
            client,
            "continue",
            {"video": str(path), "prompt": "it rolls away", "duration": 3, "resolution": "720p", "save_to": str(longer)},
        )
        assert (continued["feature"], continued["duration"]) == ("text-image", 3.0)
        edited = await done(
            client, "edit", {"video": str(media / "clip.mp4"), "prompt": "make it night", "resolution": "720p"}
        )
        assert edited["feature"] == "edit-video"
        assert edited["url"].startswith(URL)
        assert "path" not in edited

    with_tools(work)


def test_not_waiting_and_canceling(media: Path) -> None:
    async def work(client: Client) -> None:
        images = [str(media / "first.png"), str(media / "last.png")]
        queued = await done(
            client,
            "generate",
            {"prompt": "Image 1 meets Image 2", "reference_images": images, "duration": 15, "wait": False},
        )
        assert queued["status"] == "IN_QUEUE"
        assert queued["feature"] == "reference"
        status = await done(client, "status", {"id": queued["id"]})
        assert status["status"] in ("IN_QUEUE", "IN_PROGRESS")
        canceled = await done(client, "cancel", {"id": queued["id"]})
        for _ in range(100):
            if canceled["status"] == "CANCELED":
                break
            await asyncio.sleep(0.1)
            canceled = await done(client, "status", {"id": queued["id"]})
        assert (canceled["status"], canceled["credits"]) == ("CANCELED", 0)

        # A call that its client gives up cancels what it was waiting for.
        call = asyncio.create_task(client.call_tool("generate", {"prompt": "given up", "duration": 15}))
        await asyncio.sleep(1.5)
        call.cancel()
        for _ in range(100):
            newest = (await done(client, "list", {"limit": 1}))["generations"][0]
            if newest["prompt"] == "given up" and newest["status"] == "CANCELED":
                return
            await asyncio.sleep(0.1)
        raise AssertionError(newest)

    with_tools(work)


def test_errors_name_the_argument(tmp_path: Path, media: Path) -> None:
    cases: list[tuple[str, dict[str, Any], list[str]]] = [
        ("generate", {"prompt": "a", "duration": 20}, ["duration 20 is out of range", "2 to 15"]),
        ("generate", {"prompt": "a", "resolution": "8k", "aspect_ratio": "2:1"}, ["resolution", "aspect_ratio"]),
        ("generate", {}, ["prompt is required"]),
        ("generate", {"prompt": "a", "lenght": 5}, ["lenght", "duration"]),
        ("generate", {"prompt": 5}, ["prompt is 5", "a string"]),
        ("generate", {"prompt": "a", "image": "/nowhere/a.png"}, ["image", "/nowhere/a.png"]),
        ("generate", {"prompt": "a", "image": str(media / "tiny.png")}, ["image (image_url)", "64"]),
        ("generate", {"prompt": "a", "save_to": "/nowhere/a.mp4"}, ["save_to", "/nowhere"]),
        ("generate", {"prompt": "a", "save_to": str(tmp_path)}, ["save_to", "is a folder"]),
        ("generate", {"prompt": "a", "save_to": "a.mp4", "wait": False}, ["save_to", "wait"]),
        ("edit", {"prompt": "a"}, ["video is required"]),
        ("edit", {"video": "https://example.com/a.mp4"}, ["prompt is required"]),
        ("continue", {"video": str(media / "clip.mp4"), "duration": 2}, ["duration", "2.00 s"]),
        ("status", {"id": "gen_00000000000000000000000000"}, ["no such generation"]),
        ("status", {"id": "../credits"}, ["id", "../credits", "gen_"]),
        ("cancel", {}, ["id is required"]),
        ("list", {"limit": 1000}, ["limit", "1 to 100"]),
        ("credits", {"of": "me"}, ["of", "there are none"]),
    ]

    async def work(client: Client) -> None:
        for tool, arguments, words in cases:
            sentence = await refused(client, tool, arguments)
            assert all(word in sentence for word in words), f"{tool} {arguments}: {sentence}"
        with pytest.raises(MCPError, match="no tool"):
            await client.call_tool("delete", {})
        failed = await refused(client, "generate", {**SHORT, "image": "https://nowhere.invalid/a.png"})
        assert "failed" in failed and "image_url" in failed

    with_tools(work)
    assert list(tmp_path.iterdir()) == [], "nothing is left of what was refused"


def test_servers_that_do_not_answer() -> None:
    async def run(environment: dict[str, str]) -> str:
        async with Client(kinora_mcp(**environment)) as client:
            return await refused(client, "credits", {})

    assert "could not be asked" in asyncio.run(run({"KINORA_URL": "http://127.0.0.1:9"}))
    assert "401" in asyncio.run(run({"KINORA_API_KEY": "nonsense"}))


@pytest.mark.parametrize(
    ("environment", "word"),
    [({"KINORA_API_KEY": "k"}, "KINORA_URL"), ({"KINORA_URL": URL}, "KINORA_API_KEY"), ({"KINORA_URL": "ftp://h", "KINORA_API_KEY": "k"}, "ftp")],
)
def test_a_start_that_is_refused(environment: dict[str, str], word: str) -> None:
    started = subprocess.run(
        [KINORA, "mcp"], env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=30
    )
    assert started.returncode == 2
    assert word in started.stderr
    assert started.stdout == ""
