// What goes wrong stands beside the field that caused it; what can be taken back is.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { choose, faultOf, makeIt, mode, openHouse, pick, shortest, slot, until } from "./house.mjs";

let house;
// Few credits, so that something costs too much.
before(async () => (house = await openHouse({ KINORA_FIRST_START__SUBSCRIPTION_CREDITS: "100", KINORA_FIRST_START__PERMANENT_CREDITS: "200" })));
after(() => house?.close());

const send = (page) => page.getByRole("button", { name: /^Make/ }).click();

test("what is missing is said at its field, which gets the focus", async () => {
  const page = await house.open();
  await send(page);
  const prompt = page.getByRole("textbox", { name: "Prompt" });
  assert.match(await faultOf(prompt), /Say what the video shows/);
  await until("the field has the focus", () => prompt.evaluate((element) => element === document.activeElement));
  assert.equal(await prompt.getAttribute("aria-invalid"), "true");
  await prompt.fill("Something");
  assert.equal(await page.locator(".fault").count(), 0, "what is mended is no longer blamed");
  await mode(page, "Reference");
  await send(page);
  assert.match(await slot(page, "Reference images").locator(".fault").textContent(), /at least one image or video/);
  assert.equal((await house.api("/generations")).data.length, 0, "nothing was sent");
  await page.context().close();
});

test("what the server refuses stands at the field it names", async () => {
  const page = await house.open();
  await pick(page, "An image");
  await choose(page, "First frame", house.media("tiny.png"));
  await shortest(page);
  await page.getByText("More settings").click();
  await page.getByLabel("Seed").fill("4294967296");
  await page.getByLabel("Leave out").fill("x".repeat(501));
  await send(page);
  assert.match(await slot(page, "First frame").locator(".fault").textContent(), /240/);
  assert.match(await faultOf(page.getByLabel("Seed")), /2147483647/);
  assert.match(await faultOf(page.getByLabel("Leave out")), /500/);
  await page.getByLabel("Seed").fill("seven");
  await page.getByLabel("Leave out").fill("");
  await send(page);
  assert.match(await faultOf(page.getByLabel("Seed")), /seven/);
  await page.context().close();
});

test("settings that were wrong are opened, and stay open when they are right", async () => {
  const page = await house.open();
  await page.getByRole("textbox", { name: "Prompt" }).fill("A boat");
  const settings = page.getByText("More settings");
  const seed = page.getByLabel("Seed");
  await settings.click();
  await seed.fill("seven");
  await settings.click();
  assert.equal(await seed.isVisible(), false);
  await send(page);
  assert.match(await faultOf(seed), /seven/);
  await until("the seed has the focus", () => seed.evaluate((element) => element === document.activeElement));
  await seed.fill("7");
  await page.locator(".price b").waitFor();
  assert.equal(await page.locator(".fault").count(), 0);
  assert.equal(await seed.evaluate((element) => element === document.activeElement && element.checkVisibility()), true);
  await page.context().close();
});

test("a clip that is too long to be continued is said before it is sent", async () => {
  const page = await house.open();
  await pick(page, "A clip, continued");
  await choose(page, "Clip to continue", house.media("clip.mp4"));
  await shortest(page);
  assert.match(await faultOf(page.getByRole("slider", { name: "Duration" })), /2/);
  await page.getByText("No price as long as a field needs attention.").waitFor();
  await page.context().close();
});

test("an address that is none is refused at its reference", async () => {
  const page = await house.open();
  await mode(page, "Reference");
  await page.getByRole("textbox", { name: "Prompt" }).fill("Image 1 smiles");
  await slot(page, "Reference images").getByRole("button", { name: "Use an address" }).click();
  await page.getByLabel("Address of an image").fill("ftp://example.com/a.png");
  await page.getByLabel("Address of an image").press("Enter");
  await page.getByText("Image 1", { exact: true }).waitFor();
  await send(page);
  assert.match(await page.locator("#reference_image_urls-0-fault").textContent(), /http/);
  await page.context().close();
});

test("a price above the balance is said, and refused", async () => {
  const page = await house.open();
  await page.getByRole("textbox", { name: "Prompt" }).fill("Too dear");
  await pick(page, "1080p");
  await page.getByRole("slider", { name: "Duration" }).press("End");
  await page.getByText("225 credits", { exact: true }).waitFor();
  assert.equal(await page.locator("#short").count(), 0);
  await house.make("Spend some", { duration: 10 });
  await page.reload();
  await page.getByRole("textbox", { name: "Prompt" }).fill("Too dear");
  await pick(page, "1080p");
  await page.getByRole("slider", { name: "Duration" }).press("End");
  await page.getByText("225 credits", { exact: true }).waitFor();
  await page.getByText("The balance of 200 credits does not suffice").waitFor();
  await send(page);
  await page.getByRole("alert").getByText(/Insufficient credits/).waitFor();
  await page.context().close();
});

test("what runs and what waits can be canceled, and costs nothing", async () => {
  const page = await house.open();
  const balance = (await house.api("/credits")).total;
  await page.getByRole("textbox", { name: "Prompt" }).fill("A long way");
  await pick(page, "720p");
  await page.getByRole("slider", { name: "Duration" }).press("End");
  await send(page);
  await until("it runs", async () => (await house.newest())?.status === "IN_PROGRESS");
  const running = await house.newest();
  await until("its progress is shown", () => page.locator(".underway progress").evaluate((element) => element.value > 0));
  assert.equal((await house.api("/credits")).held.total, 150);
  await page.locator(".result").getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByText("Canceled. Its credits are back.", { exact: true }).waitFor();
  assert.equal((await house.api(`/generation/${running.id}`)).status, "CANCELED");
  await until("the balance is back", async () => (await page.locator(".balance").textContent()) === `${balance} credits`);

  // A second one waits behind a first: it is canceled from its card.
  await house.api("/generation/wan/wan-v2.7-video", { body: { prompt: "In front", resolution: "720p", duration: 12 } });
  const waiting = await house.api("/generation/wan/wan-v2.7-video", { body: { prompt: "Behind", resolution: "720p", duration: 2 } });
  await page.goto(`${house.url}/studio#/gallery`);
  await page.reload();
  await page.getByRole("button", { name: "Cancel: Behind" }).click();
  await until("it is canceled", async () => (await house.api(`/generation/${waiting.id}`)).status === "CANCELED");
  await page.getByRole("button", { name: "Cancel: In front" }).click();
  await page.getByRole("link", { name: "In front, Canceled" }).waitFor();
  assert.equal((await house.api("/credits")).total, balance);
  await page.context().close();
});

test("a stream that breaks is taken up behind the last event", async () => {
  const page = await house.open();
  const resumed = [];
  await page.route("**/events", async (route) => {
    resumed.push(route.request().headers()["last-event-id"]);
    if (resumed.length > 1) return route.continue();
    const id = route.request().url().split("/").at(-2);
    const event = { id, status: "IN_PROGRESS", data: null, usage: { total: 20, subscription: 20, permanent: 0 }, progress: 0.01, stage: "preparing" };
    await route.fulfill({ contentType: "text/event-stream", body: `retry: 3000\nid: 1\ndata: ${JSON.stringify(event)}\n\nid: 2\nda` });
  });
  await page.getByRole("textbox", { name: "Prompt" }).fill("Broken off");
  await pick(page, "720p");
  await shortest(page);
  await makeIt(page, house);
  assert.deepEqual(resumed.slice(0, 2), [undefined, "1"]);
  await page.context().close();
});

test("what the engine cannot do cannot be chosen, and why is said", async () => {
  const page = await house.open("/healthz");
  await page.route("**/api/v1/models", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    const features = body.data[0].features.filter(({ feature }) => feature !== "reference");
    Object.assign(features[0], { starts: ["first-frame"], resolutions: ["720p"], audio_input: false });
    features[0].duration.max = 5;
    body.data[0].features = features;
    await route.fulfill({ response: answer, json: body });
  });
  await page.goto(`${house.url}/studio`);
  await until("the form knows the engine", () => page.getByRole("radio", { name: "1080p" }).isDisabled());
  assert.ok(await page.getByRole("tab", { name: "Reference" }).isDisabled());
  assert.ok(await page.getByRole("radio", { name: "Words only" }).isDisabled());
  assert.ok(await page.getByRole("radio", { name: "An image" }).isChecked(), "it begins with what can be done");
  await page.getByText("The engine of this server does not start from words alone.").waitFor();
  assert.equal(await page.locator("summary", { hasText: "Sound" }).count(), 0);
  await page.getByRole("slider", { name: "Duration" }).press("End");
  assert.equal(await page.locator("output").textContent(), "5 s");
  await page.context().close();
});
