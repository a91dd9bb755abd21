// Webhooks: an endpoint made, tried, told, changed and deleted, with a receiver that checks every signature.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { faultOf, openHouse, until } from "./house.mjs";

let house;
before(async () => (house = await openHouse({ KINORA_WEBHOOKS__ALLOW_HOSTS: "127.0.0.1", KINORA_WEBHOOKS__ENDPOINTS_PER_ACCOUNT: "2" })));
after(() => house?.close());

beforeEach(async () => {
  for (const { id } of (await house.api("/webhooks")).data) await house.api(`/webhooks/${id}`, { method: "DELETE" });
});

/** Keeps what it is told, and answers with `receiver.answer`. */
async function openReceiver() {
  const receiver = { told: [], answer: 204 };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    receiver.told.push({ body: Buffer.concat(chunks).toString(), headers: request.headers });
    response.writeHead(receiver.answer).end(receiver.answer === 204 ? undefined : "out of order");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  receiver.url = `http://127.0.0.1:${server.address().port}/kinora`;
  receiver.close = () => {
    server.closeAllConnections();
    server.close();
  };
  return receiver;
}

const signedBy = (secret, { body, headers }) => {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const mac = createHmac("sha256", key).update(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`).digest("base64");
  return headers["webhook-signature"].split(" ").includes(`v1,${mac}`);
};

const delivery = (page, name) => page.getByRole("list", { name: "Deliveries" }).getByRole("listitem").filter({ hasText: name });

test("an endpoint is made, tried, told again, changed, disabled, rotated and deleted", async () => {
  const receiver = await openReceiver();
  const page = await house.open("/studio#/webhooks");
  await page.getByText("Nobody is told yet.").waitFor();
  await page.getByRole("button", { name: "New endpoint" }).click();
  const form = page.getByRole("dialog", { name: "New endpoint" });
  const url = form.getByLabel("URL");
  assert.ok(await url.evaluate((input) => input === document.activeElement), "one can type at once");

  // What is wrong stands at its field: first what the page knows, then what the server says.
  await form.getByRole("button", { name: "Make the endpoint" }).click();
  assert.match(await faultOf(url), /where the receiver is/);
  await url.fill("http://10.0.0.1/hook");
  await form.getByRole("radio", { name: "Only these" }).check();
  await form.getByRole("button", { name: "Make the endpoint" }).click();
  await form.getByText("Tick at least one, or take all events.").waitFor();
  assert.equal((await house.api("/webhooks")).data.length, 0, "no box ticked is not all events");
  await form.getByRole("checkbox", { name: /task\.completed/ }).check();
  await form.getByRole("button", { name: "Make the endpoint" }).click();
  assert.match(await faultOf(url), /10\.0\.0\.1|public|private/);
  await url.fill(receiver.url);
  assert.equal(await page.locator(".fault").count(), 0, "what is mended is no longer blamed");
  await form.getByLabel("Description").fill("x".repeat(501));
  await form.getByRole("button", { name: "Make the endpoint" }).click();
  assert.match(await faultOf(form.getByLabel("Description")), /at most 500/);
  await form.getByLabel("Description").fill("The shop");
  await form.getByRole("button", { name: "Make the endpoint" }).click();

  const made = page.getByRole("dialog", { name: "The endpoint is made" });
  await made.getByText("it will not be shown again").waitFor();
  const secret = await made.getByLabel("Signing secret").inputValue();
  assert.match(secret, /^whsec_/);
  await made.getByRole("button", { name: "Done" }).click();
  await page.getByRole("heading", { level: 1, name: receiver.url }).waitFor();
  await page.getByText("It has not been told anything yet.").waitFor();
  const [kept] = (await house.api("/webhooks")).data;
  assert.deepEqual([kept.events, kept.description, kept.enabled], [["task.completed"], "The shop", true]);
  assert.ok(page.url().endsWith(`#/webhooks/${kept.id}`));

  // A test arrives, signed, and is seen in the log.
  await page.getByRole("button", { name: "Send a test" }).click();
  await delivery(page, "Test").getByText("Delivered").waitFor();
  await delivery(page, "Test").getByText("Answered 204", { exact: true }).waitFor();
  assert.equal(receiver.told.length, 1);
  assert.equal(JSON.parse(receiver.told[0].body).type, "webhook.test");
  assert.ok(signedBy(secret, receiver.told[0]));

  // One that fails shows its answer, when it is tried next, and goes out again by hand.
  receiver.answer = 500;
  const video = await house.make("A paper boat");
  const ready = delivery(page, "A paper boat").or(delivery(page, video.id));
  await ready.getByText("Answered 500", { exact: true }).waitFor();
  await ready.getByText(/Next try today/).waitFor();
  await ready.locator("summary").click();
  await ready.getByText("out of order").first().waitFor();
  receiver.answer = 204;
  await ready.getByRole("button", { name: /^Send again: Ready/ }).click();
  await ready.getByText("Delivered").waitFor();
  await ready.getByText(/^[2-9] tries/).waitFor();
  const last = receiver.told.at(-1);
  assert.equal(JSON.parse(last.body).prediction.id, video.id);
  assert.equal(last.headers["webhook-id"], receiver.told[1].headers["webhook-id"], "the same delivery");
  assert.equal(await delivery(page, "Accepted").count(), 0, "only what was asked for");

  // Changed: all events.
  await page.getByRole("button", { name: "Change", exact: true }).click();
  const change = page.getByRole("dialog", { name: "Change the endpoint" });
  assert.ok(await change.getByRole("checkbox", { name: /task\.completed/ }).isChecked());
  await change.getByLabel("URL").fill("https://user@example.com/");
  await change.getByRole("button", { name: "Keep the changes" }).click();
  assert.ok(await faultOf(change.getByLabel("URL")));
  await change.getByLabel("URL").fill(receiver.url);
  await change.getByRole("radio", { name: "All events" }).check();
  await change.getByRole("button", { name: "Keep the changes" }).click();
  await change.waitFor({ state: "detached" });
  assert.deepEqual((await house.api(`/webhooks/${kept.id}`)).events, []);
  await page.getByText("All events").waitFor();

  // Rotated: both sign for a while.
  await page.getByRole("button", { name: "Rotate secret" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate", exact: true }).click();
  const rotated = page.getByRole("dialog", { name: "The new signing secret" });
  const fresh = await rotated.getByLabel("Signing secret").inputValue();
  assert.notEqual(fresh, secret);
  await rotated.getByRole("button", { name: "Done" }).click();
  const before = receiver.told.length;
  await page.getByRole("button", { name: "Send a test" }).click();
  await until("the second test has come", () => receiver.told.length > before);
  assert.ok(signedBy(fresh, receiver.told.at(-1)) && signedBy(secret, receiver.told.at(-1)));

  // Disabled: told nothing, and neither tests nor replays are offered.
  await page.getByRole("button", { name: "Disable" }).click();
  await page.getByRole("button", { name: "Enable" }).waitFor();
  assert.equal((await house.api(`/webhooks/${kept.id}`)).enabled, false);
  assert.ok(await page.getByRole("button", { name: "Send a test" }).isDisabled());
  assert.ok(await page.getByRole("button", { name: /^Send again/ }).first().isDisabled());
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByRole("button", { name: "Disable" }).waitFor();

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
  assert.equal((await house.api("/webhooks")).data.length, 1);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Nobody is told yet.").waitFor();
  assert.equal((await house.api("/webhooks")).data.length, 0);
  receiver.close();
  await page.context().close();
});

test("an endpoint that says it is gone is disabled, and the page says why", async () => {
  const receiver = await openReceiver();
  receiver.answer = 410;
  const { id } = await house.api("/webhooks", { body: { url: receiver.url } });
  const page = await house.open(`/studio#/webhooks/${id}`);
  await page.getByRole("button", { name: "Send a test" }).click();
  await delivery(page, "Test").getByText("Answered 410", { exact: true }).waitFor();
  await page.getByText("It answered 410 Gone.").waitFor();
  await page.getByRole("button", { name: "Enable" }).click();
  await page.getByText("It answered 410 Gone.").waitFor({ state: "detached" });
  receiver.close();
  await page.context().close();
});

test("one endpoint too many is said, and what is typed stays", async () => {
  for (const path of ["a", "b"]) await house.api("/webhooks", { body: { url: `http://127.0.0.1:9/${path}` } });
  const page = await house.open("/studio#/webhooks");
  await page.getByRole("button", { name: "New endpoint" }).click();
  await page.getByLabel("URL").fill("http://127.0.0.1:9/c");
  await page.getByLabel("URL").press("Enter");
  await page.getByRole("alert").getByText(/2 webhook endpoints, which is the most/).waitFor();
  assert.equal(await page.getByLabel("URL").inputValue(), "http://127.0.0.1:9/c");
  await page.keyboard.press("Escape");
  await page.context().close();
});

test("the secret of single requests is shown on demand", async () => {
  const page = await house.open("/studio#/webhooks");
  await page.getByRole("button", { name: "Show the signing secret" }).click();
  const shown = await page.getByLabel("Signing secret of the workspace").inputValue();
  assert.equal(shown, (await house.api("/webhooks/signing-secret")).secret);
  await page.context().close();
});

test("an endpoint is reached and changed by keys alone", async () => {
  const { id } = await house.api("/webhooks", { body: { url: "http://127.0.0.1:9/keys" } });
  const page = await house.open("/studio#/webhooks");
  await page.getByRole("link", { name: "http://127.0.0.1:9/keys" }).focus();
  await page.keyboard.press("Enter");
  const change = page.getByRole("button", { name: "Change", exact: true });
  await change.focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  // From the URL over the description to the choice of events, and into its boxes.
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.deepEqual((await house.api(`/webhooks/${id}`)).events, ["task.created"]);
  await until("the focus is back where it was", () => change.evaluate((button) => button === document.activeElement));
  await page.context().close();
});
