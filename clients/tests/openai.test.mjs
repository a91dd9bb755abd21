// The `openai` package as it comes from npm, against `/v1/videos`.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { test } from "node:test";
import OpenAI from "openai";
import { API_KEY, URL, isMp4, picture, sleep } from "./house.mjs";

// No second try of its own: what is asked for here has to work at once.
const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: API_KEY, maxRetries: 0 });

async function finished(id) {
  for (;;) {
    const { data: video, response } = await client.videos.retrieve(id).withResponse();
    const pollAfter = response.headers.get("openai-poll-after-ms");
    if (video.status !== "queued" && video.status !== "in_progress") {
      assert.equal(pollAfter, null);
      return video;
    }
    assert.equal(pollAfter, "3000");
    await sleep(100);
  }
}

test("the whole life", async () => {
  const created = await client.videos.create({ prompt: "a paper boat", model: "sora-2", seconds: "2", size: "1280x720" });
  assert.deepEqual([created.object, created.status, created.seconds, created.size], ["video", "queued", "2", "1280x720"]);
  const video = await finished(created.id);
  assert.deepEqual([video.status, video.progress, video.error], ["completed", 100, null]);
  assert.ok(video.completed_at >= video.created_at && video.expires_at > video.completed_at);

  const content = await client.videos.downloadContent(video.id);
  assert.ok(isMp4(await content.arrayBuffer()));
  const thumbnail = await client.videos.downloadContent(video.id, { variant: "thumbnail" });
  assert.equal(thumbnail.headers.get("content-type"), "image/jpeg");
  const part = await client.videos.downloadContent(video.id, {}, { headers: { Range: "bytes=4-7" } });
  assert.deepEqual([part.status, await part.text()], [206, "ftyp"]);

  const listed = await client.videos.list({ limit: 1 });
  assert.equal(listed.data[0].id, video.id);
  assert.deepEqual(await client.videos.delete(video.id), { id: video.id, object: "video.deleted", deleted: true });
  await assert.rejects(client.videos.retrieve(video.id), OpenAI.NotFoundError);
});

test("a first frame as a file and as a URL", async () => {
  const path = picture("first.png");
  const data = readFileSync(path).toString("base64");
  const references = [
    createReadStream(path),
    { image_url: `data:image/png;base64,${data}` },
  ];
  const videos = [];
  for (const input_reference of references) {
    videos.push(await client.videos.create({ prompt: "it moves", seconds: "2", input_reference }));
  }
  for (const { id } of videos) assert.equal((await finished(id)).status, "completed");
});

test("pages", async () => {
  const ids = [];
  for (const n of [0, 1, 2]) ids.push((await client.videos.create({ prompt: `page ${n}`, seconds: "12" })).id);
  const found = [];
  for await (const video of client.videos.list({ limit: 1, order: "asc", after: ids[0] })) found.push(video.id);
  assert.deepEqual(found, ids.slice(1));
  // Running or queued: canceled first.
  for (const id of ids) assert.equal((await client.videos.delete(id)).deleted, true);
});

test("one key is one request", async () => {
  const headers = { "Idempotency-Key": randomUUID() };
  const create = (prompt) => client.videos.create({ prompt, seconds: "2" }, { headers });
  const [first, again] = [await create("once"), await create("once")];
  assert.equal(first.id, again.id);
  await assert.rejects(create("twice"), { status: 422, code: "IDEMPOTENCY_KEY_REUSED" });
  await client.videos.delete(first.id);
});

test("refusals", async () => {
  const tiny = () => createReadStream(picture("tiny.png", "red", "64x64"));
  for (const [wanted, status, param] of [
    [{ size: "1024x1792" }, 400, "size"],
    [{ model: "sora-2-pro" }, 400, "model"],
    [{ seconds: "20" }, 422, "seconds"],
    [{ input_reference: tiny() }, 422, "input_reference"],
  ]) {
    await assert.rejects(client.videos.create({ prompt: "a boat", ...wanted }), (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.deepEqual([error.status, error.param, error.type], [status, param, "invalid_request_error"]);
      return true;
    });
  }
  const stranger = new OpenAI({ baseURL: `${URL}/v1`, apiKey: "nonsense", maxRetries: 0 });
  await assert.rejects(stranger.videos.list(), OpenAI.AuthenticationError);
});
