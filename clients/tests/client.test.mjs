// The TypeScript client of clients/typescript, as it is built: the whole life of a video, uploads, a cancel, errors,
// the ledger, webhooks, keys.
import assert from "node:assert/strict";
import { createHmac, randomUUID } from "node:crypto";
import { openAsBlob, readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import {
  AuthenticationError,
  ConflictError,
  ConnectionFailed,
  ForbiddenError,
  GenerationCanceled,
  GenerationFailed,
  GoneError,
  InvalidInputError,
  Kinora,
  NotFoundError,
  ServerError,
  SignatureError,
  WaitTimeout,
  verifyWebhook,
} from "../typescript/dist/index.js";
import { API_KEY, URL, clip, folder, isMp4, picture, sleep } from "./house.mjs";

const client = new Kinora({ url: URL, apiKey: API_KEY, retries: 0 });
const SHORT = { duration: 2, resolution: "720p" };

test("everything at once", async () => {
  const seen = [];
  const path = join(folder, "ball.mp4");
  const before = (await client.credits()).total;
  const video = await client.generate(
    { prompt: "a red ball", seed: 7, ...SHORT },
    { save: path, onProgress: (progress) => seen.push(progress) },
  );
  const file = video.generation.data.video;
  assert.deepEqual([video.path, video.generation.data.seed, file.width, file.duration], [path, 7, 1280, 2]);
  const bytes = readFileSync(path);
  assert.ok(isMp4(bytes));
  assert.equal(bytes.length, file.file_size);
  assert.equal((await fetch(video.url)).status, 200);
  assert.equal(seen.at(-1).status, "COMPLETED");
  const fractions = seen.map(({ fraction }) => fraction);
  assert.deepEqual(fractions, [...fractions].sort((a, b) => a - b));

  assert.equal((await client.credits()).total, before - 20);
  const entries = (await client.entries({ limit: 10 })).data.filter((e) => e.generation_id === video.generation.id);
  assert.deepEqual(entries.map(({ type }) => type), ["capture", "hold"]);

  await client.delete(video.generation.id);
  assert.equal((await client.get(video.generation.id)).data_removed, true);
  await assert.rejects(client.save(video.generation, join(folder, "gone.mp4")), GoneError);
  assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith(".mp4") || name.endsWith(".part")), ["ball.mp4"]);
});

test("what cannot be saved is not paid for", async () => {
  const before = await client.credits();
  for (const [save, expected] of [[join(folder, "nowhere", "ball.mp4"), /ENOENT/], [folder, /is a folder/]]) {
    await assert.rejects(client.generate({ prompt: "a red ball", ...SHORT }, { save }), expected);
  }
  assert.deepEqual(await client.credits(), before);
});

test("uploads", async () => {
  const first = await openAsBlob(picture("first.png"));
  const last = new File([readFileSync(picture("last.png", "orange"))], "last.png");
  const files = { image_url: first, end_image_url: last };
  const { id, input } = await client.create({ prompt: "from here to there", ...SHORT }, { files });
  assert.deepEqual([input.feature, input.end_image_url], ["frames", "upload://last.png"]);
  await client.cancel(id);
  const quote = await client.quote({ prompt: "both", ...SHORT }, { reference_image_urls: [first, last] });
  assert.equal(quote.input.reference_image_urls.length, 2);
  assert.deepEqual([quote.usage.total, quote.exact], [20, true]);
  const video = await openAsBlob(clip("clip.mp4"));
  const edit = await client.edit({ prompt: "make it night", resolution: "720p" }, { files: { video_url: video } });
  assert.equal((await client.wait(edit.id)).data.videos.length, 1);
});

test("cancel, by a call and by a signal", async () => {
  const { id } = await client.create({ prompt: "long", duration: 15 });
  assert.ok((await client.running()).some((item) => item.id === id));
  setTimeout(() => client.cancel(id), 500);
  await assert.rejects(client.wait(id), (error) => {
    assert.ok(error instanceof GenerationCanceled);
    assert.equal(error.generation.usage.total, 0);
    return true;
  });

  const abort = new AbortController();
  setTimeout(() => abort.abort(), 500);
  const aborted = client.generate({ prompt: "aborted", duration: 15 }, { signal: abort.signal });
  await assert.rejects(aborted, { name: "AbortError" });
  for (;;) {
    const newest = (await client.generations({ limit: 1 })).data[0];
    assert.equal(newest.input.prompt, "aborted");
    if (newest.status === "CANCELED") break;
    await sleep(100);
  }

  const other = await client.create({ prompt: "long", duration: 15 });
  await assert.rejects(client.wait(other.id, { waitMs: 200 }), WaitTimeout);
  await client.cancel(other.id);
});

test("errors", async () => {
  await assert.rejects(client.create({ prompt: "a boat", duration: 20, resolution: "8k" }), (error) => {
    assert.ok(error instanceof InvalidInputError);
    assert.deepEqual([error.status, error.code], [422, "VIDEO_GENERATION_INVALID_INPUT"]);
    assert.deepEqual(error.errors.map(({ field }) => field).sort(), ["duration", "resolution"]);
    assert.match(error.requestId, /^req_/);
    return true;
  });
  await assert.rejects(client.get("gen_00000000000000000000000000"), NotFoundError);
  const stranger = new Kinora({ url: URL, apiKey: "nonsense", retries: 0 });
  await assert.rejects(stranger.credits(), AuthenticationError);
  const nobody = new Kinora({ url: "http://127.0.0.1:9", apiKey: "key", retries: 0 });
  await assert.rejects(nobody.credits(), ConnectionFailed);
  const unreachable = { prompt: "a boat", image_url: "https://nowhere.invalid/a.png", ...SHORT };
  await assert.rejects(client.generate(unreachable), (error) => {
    assert.ok(error instanceof GenerationFailed);
    assert.equal(error.code, "VIDEO_GENERATION_INVALID_INPUT");
    assert.match(error.message, /image_url/);
    return true;
  });
  assert.throws(() => new Kinora({ url: "host", apiKey: "key" }), TypeError);
  assert.throws(() => new Kinora({ url: URL, apiKey: "" }), TypeError);
});

test("one key is one request", async () => {
  const idempotencyKey = randomUUID();
  const create = (prompt) => client.create({ prompt, ...SHORT }, { idempotencyKey });
  const [first, again] = [await create("once"), await create("once")];
  assert.equal(first.id, again.id);
  await assert.rejects(create("twice"), { code: "IDEMPOTENCY_KEY_REUSED" });
  const events = [];
  for await (const event of client.events(first.id)) events.push(event);
  assert.equal(events.at(-1).status, "COMPLETED");
  assert.equal((await client.generations({ status: ["COMPLETED"], limit: 1 })).data[0].status, "COMPLETED");
  const models = (await client.models()).data.map(({ id }) => id);
  assert.deepEqual(models, ["wan/wan-v2.7-video", "wan/wan-v2.7/edit-video"]);
});

/** A server whose streams break off and whose answers fail at times. */
async function unreliable(answers = []) {
  const [streams, polls, posts] = [[], [], []];
  const server = createServer((request, response) => {
    if (request.method === "POST") {
      posts.push(request.url);
      return response.writeHead(503, { "retry-after": "0" }).end();
    }
    if (request.url.endsWith("/events")) {
      streams.push(request.headers["last-event-id"]);
      if (streams.length > 2) return response.writeHead(503).end();
      const event = { id: "gen_1", status: "IN_PROGRESS", stage: "denoising", progress: streams.length / 10 };
      response.write(`: ping\n\nid: ${streams.length}\ndata: ${JSON.stringify(event)}\n\nid: 99\ndata: {`);
      return setTimeout(() => response.destroy(), 50);
    }
    polls.push(request.url);
    const status = polls.length > 2 ? "COMPLETED" : "IN_PROGRESS";
    response.writeHead(answers.shift() ?? 200, { "retry-after": "0" });
    response.end(JSON.stringify({ id: "gen_1", status, stage: "x", progress: 0.5 }));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const at = (retries) => new Kinora({ url: `http://127.0.0.1:${server.address().port}`, apiKey: "key", retries });
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { at, close, streams, answers, posts };
}

test("streams are resumed, and given up for polling", async () => {
  const { at, close, streams } = await unreliable();
  const seen = [];
  const generation = await at(0).wait("gen_1", { onProgress: ({ fraction }) => seen.push(fraction), pollIntervalMs: 10 });
  assert.equal(generation.status, "COMPLETED");
  assert.deepEqual(streams, [undefined, "1", "2", "2", "2"]);
  assert.deepEqual(seen.slice(0, 2), [0.1, 0.2]);
  close();
});

test("what passes is tried again", async () => {
  const { at, close, answers } = await unreliable([503, 429, 502]);
  assert.equal((await at(3).get("gen_1")).id, "gen_1");
  answers.push(500);
  await assert.rejects(at(0).get("gen_1"), ServerError);
  answers.push(404);
  await assert.rejects(at(3).get("gen_1"), NotFoundError);
  close();
});

test("what would do harm twice is not tried again", async () => {
  const { at, close, posts } = await unreliable();
  const client = at(3);
  for (const call of [
    () => client.createKey({ name: "once" }),
    () => client.createWebhook({ url: "https://example.com/" }),
    () => client.rotateWebhookSecret("whe_1"),
    () => client.testWebhook("whe_1"),
    () => client.retryWebhookDelivery("whe_1", "dlv_1"),
  ]) {
    posts.length = 0;
    await assert.rejects(call(), ServerError);
    assert.equal(posts.length, 1);
  }
  assert.deepEqual(posts, ["/api/v1/webhooks/whe_1/deliveries/dlv_1/retry"]);
  close();
});

/** Keeps what it is told, and answers as it is bidden. */
async function openReceiver() {
  const receiver = { told: [], answer: 204 };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    receiver.told.push([Buffer.concat(chunks), request.headers]);
    response.writeHead(receiver.answer).end();
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  receiver.url = `http://127.0.0.1:${server.address().port}/`;
  receiver.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return receiver;
}

/** What is seen once it is so. */
async function when(look, holds) {
  for (let tries = 0; ; tries += 1) {
    const seen = await look();
    if (holds(seen)) return seen;
    assert.ok(tries < 300, JSON.stringify(seen));
    await sleep(100);
  }
}

test("what a server sends is believed", async () => {
  const receiver = await openReceiver();
  const { told, url: webhook_url } = receiver;
  const { id } = await client.create({ prompt: "tell me", webhook_url, ...SHORT });
  await client.cancel(id);
  const secret = await client.signingSecret();
  const seen = new Set();
  for (let tries = 0; !seen.has("task.canceled"); tries += 1) {
    assert.ok(tries < 300, `told of ${[...seen]}`);
    for (const [body, headers] of told.splice(0)) {
      const event = await verifyWebhook(body, headers, secret);
      assert.equal(event.prediction.id, id);
      seen.add(event.type);
      await assert.rejects(verifyWebhook(`${body} `, headers, secret), SignatureError);
    }
    await sleep(100);
  }
  assert.ok(seen.has("task.created"));
  receiver.close();
});

test("an endpoint from its making to its end", async () => {
  const receiver = await openReceiver();
  await assert.rejects(client.createWebhook({ url: "http://10.0.0.1/", events: ["task.done"] }), (error) => {
    assert.ok(error instanceof InvalidInputError);
    assert.deepEqual(error.errors.map(({ field }) => field).sort(), ["events[0]", "url"]);
    return true;
  });
  const { id, secret } = await client.createWebhook({ url: receiver.url, events: ["task.canceled"], description: "the shop" });
  const shown = await client.webhook(id);
  assert.deepEqual([shown.secret, shown.events, shown.description, shown.enabled], [undefined, ["task.canceled"], "the shop", true]);
  assert.deepEqual((await client.webhooks()).find((one) => one.id === id), shown);

  const told = async (type, ...secrets) => {
    const [body, headers] = await when(() => receiver.told.shift(), Boolean);
    let event;
    for (const one of secrets) event = await verifyWebhook(body, headers, one);
    assert.equal(event.type, type);
    return headers["webhook-id"];
  };
  assert.equal(await client.testWebhook(id), await told("webhook.test", secret));

  receiver.answer = 503;
  await client.cancel((await client.create({ prompt: "long", duration: 15 })).id);
  const delivery = await told("task.canceled", secret);
  receiver.answer = 204;
  const newest = async () => (await client.webhookDeliveries(id)).data[0];
  // A try that is still being written down would be overtaken.
  const failed = await when(newest, ({ tries }) => tries.length === 1);
  assert.deepEqual([failed.id, failed.status, failed.tries[0].status], [delivery, "pending", 503]);
  await client.retryWebhookDelivery(id, delivery);
  assert.equal(await told("task.canceled", secret), delivery);
  const { tries } = await when(newest, ({ status }) => status === "delivered");
  assert.deepEqual(tries.map(({ status }) => status), [503, 204]);
  const page = await client.webhookDeliveries(id, { limit: 1 });
  const older = await client.webhookDeliveries(id, { limit: 1, cursor: page.next_cursor });
  assert.deepEqual([...page.data, ...older.data].map(({ type }) => type), ["task.canceled", "webhook.test"]);

  const fresh = (await client.rotateWebhookSecret(id)).secret;
  assert.notEqual(fresh, secret);
  await client.testWebhook(id);
  await told("webhook.test", secret, fresh);

  assert.equal((await client.changeWebhook(id, { enabled: false, events: [] })).enabled, false);
  await assert.rejects(client.testWebhook(id), (error) => error instanceof ConflictError && error.code === "WEBHOOK_ENDPOINT_DISABLED");
  await client.deleteWebhook(id);
  await assert.rejects(client.webhook(id), NotFoundError);
  receiver.close();
});

test("keys", async () => {
  const made = await client.createKey({ name: "dashboard", scope: "read" });
  const other = new Kinora({ url: URL, apiKey: made.key, retries: 0 });
  await other.credits();
  await assert.rejects(other.create({ prompt: "a boat", ...SHORT }), ForbiddenError);
  const current = async (one) => (await one.keys()).filter((key) => key.current).map(({ id }) => id);
  assert.deepEqual(await current(other), [made.id]);
  assert.ok((await client.keys()).every(({ key }) => key === undefined));
  const [own] = await current(client);
  await assert.rejects(client.revokeKey(own), (error) => error instanceof ConflictError && error.code === "KEY_IN_USE");
  await client.revokeKey(made.id);
  await assert.rejects(other.credits(), AuthenticationError);
  assert.notEqual((await client.keys()).find(({ id }) => id === made.id).revoked_at, null);
});

test("webhooks", async () => {
  const [secret, nowS] = [Buffer.alloc(32, "k"), 1_800_000_000];
  const text = `whsec_${secret.toString("base64")}`;
  const other = `whsec_${Buffer.alloc(24, "o").toString("base64")}`;
  const body = '{"type":"task.completed","prediction":{"id":"gen_1","prompt":"ä"}}';
  const mac = createHmac("sha256", secret).update(`msg_1.${nowS}.${body}`).digest("base64");
  const headers = { "Webhook-Id": "msg_1", "Webhook-Timestamp": `${nowS}`, "Webhook-Signature": `v1a,x v1,${mac}` };
  assert.equal((await verifyWebhook(body, headers, text, { nowS })).type, "task.completed");
  assert.equal((await verifyWebhook(Buffer.from(body), new Headers(headers), [other, text], { nowS: nowS + 299 })).type, "task.completed");
  for (const [given, sent, secrets, at] of [
    [`${body} `, headers, text, nowS],
    [body, headers, other, nowS],
    [body, headers, text, nowS + 301],
    [body, headers, text, nowS - 301],
    [body, { ...headers, "Webhook-Id": "msg_2" }, text, nowS],
    [body, { ...headers, "Webhook-Timestamp": "soon" }, text, nowS],
    [body, { ...headers, "Webhook-Signature": `v2,${mac}` }, text, nowS],
    [body, { ...headers, "Webhook-Signature": "v1,§" }, text, nowS],
    [body, {}, text, nowS],
  ]) {
    await assert.rejects(verifyWebhook(given, sent, secrets, { nowS: at }), SignatureError);
  }
  await assert.rejects(verifyWebhook(body, headers, "whsec_§", { nowS }), TypeError);

  // The vector that the libraries of Standard Webhooks are tested with.
  const published = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  };
  const event = await verifyWebhook('{"test": 2432232314}', published, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", { nowS: 1614265330 });
  assert.deepEqual(event, { test: 2432232314 });
});
