// What was made: found again, looked at, made anew, deleted; and what it cost.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { choose, makeIt, openHouse, pick, shortest, until } from "./house.mjs";

let house;
before(async () => {
  house = await openHouse();
  for (const prompt of ["A red kite", "A blue kite", "A green boat"]) await house.make(prompt, { seed: 11 });
});
after(() => house?.close());

const titles = (page) => page.locator(".card-title").allTextContents();

test("what is loaded can be searched and filtered", async () => {
  const page = await house.open("/studio#/gallery");
  await page.getByRole("link", { name: /A green boat/ }).waitFor();
  assert.deepEqual(await titles(page), ["A green boat", "A blue kite", "A red kite"]);
  const search = page.getByRole("searchbox");
  const check = async (words, expected) => {
    await search.fill(words);
    await until(`${words} finds ${expected}`, async () => (await titles(page)).join() === expected.join());
  };
  await check("kite", ["A blue kite", "A red kite"]);
  await check("KITE blue", ["A blue kite"]);
  await check("11", ["A green boat", "A blue kite", "A red kite"]);
  await check("submarine", []);
  await page.getByText("matches “submarine”").waitFor();
  await search.fill("");
  await pick(page, "Failed or canceled");
  await page.getByText("Nothing here.").waitFor();
  await page.context().close();
});

test("older ones are loaded page by page", async () => {
  const page = await house.open("/studio", { signedIn: true });
  await page.route("**/api/v1/generations?*", (route) => route.continue({ url: route.request().url().replace("limit=48", "limit=2") }));
  await page.goto(`${house.url}/studio#/gallery`);
  await page.reload();
  await until("the first two are shown", async () => (await titles(page)).length === 2);
  await page.getByRole("button", { name: "Load older ones" }).click();
  await until("all are shown", async () => (await titles(page)).length === 3);
  assert.equal(await page.getByRole("button", { name: "Load older ones" }).count(), 0);
  await page.context().close();
});

test("one that was made with files is made again with a new seed", async () => {
  const page = await house.open();
  await pick(page, "An image");
  await choose(page, "First frame", house.media("first.png"));
  await page.getByRole("textbox", { name: "Prompt" }).fill("Try me twice");
  await shortest(page);
  const first = await makeIt(page, house);
  // A later visit, with nothing but what the browser has kept.
  await page.goto(`${house.url}/studio#/gallery`);
  await page.reload();
  await page.getByRole("button", { name: "Retry with a new seed: Try me twice" }).click();
  const second = await until("the second is ready", async () => {
    const one = await house.newest();
    return one.id !== first.id && one.status === "COMPLETED" && one;
  });
  const { seed: one, ...same } = first.input;
  const { seed: other, ...as } = second.input;
  assert.deepEqual(as, same);
  assert.notEqual(other, one);
  await page.locator("video.screen").waitFor();
  await page.context().close();
});

test("where a file is gone, the form says which one to choose again", async () => {
  const page = await house.open();
  await page.getByRole("link", { name: "Gallery" }).click();
  await page.getByRole("button", { name: "Use these settings: Try me twice" }).first().click();
  await page.getByText("Choose “first.png” again").waitFor();
  assert.equal(await page.getByLabel("Prompt (optional)").inputValue(), "Try me twice");
  await page.context().close();
});

test("a deleted video is gone from the server, and its price stays in the ledger", async () => {
  const [doomed] = (await house.api("/generations")).data.filter(({ input }) => input.prompt === "A red kite");
  const page = await house.open(`/studio#/video/${doomed.id}`);
  await page.getByRole("heading", { name: "A red kite" }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Keep it" }).click();
  assert.equal((await house.api(`/generation/${doomed.id}`)).data_removed, undefined, "asked first");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("Deleted. What it cost stays in the ledger.").waitFor();
  assert.equal((await house.api(`/generation/${doomed.id}`)).data_removed, true);
  assert.equal((await fetch(doomed.data.videos[0].url)).status, 410);
  await page.getByRole("link", { name: "Gallery" }).first().click();
  await until("it has left the gallery", async () => {
    const shown = await titles(page);
    return shown.length > 0 && !shown.includes("A red kite");
  });
  await pick(page, "Deleted");
  await until("it is among the deleted", async () => (await titles(page)).join() === "A red kite");

  await page.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Credits" }).click();
  const rows = page.getByRole("row").filter({ hasText: "A red kite" });
  await until("its lines are there", async () => (await rows.count()) === 2);
  assert.match(await rows.nth(0).textContent(), /Charged.*0$/);
  assert.match(await rows.nth(1).textContent(), /Held.*−20$/);
  await page.context().close();
});

test("balance and ledger say what the server says", async () => {
  const page = await house.open("/studio#/account");
  const { total, subscription, permanent } = await house.api("/credits");
  const number = (value) => value.toLocaleString("en");
  await until("the balance is shown", async () => {
    const tiles = await page.locator(".tile b").allTextContents();
    return tiles.join() === [total, subscription, permanent, 0].map(number).join();
  });
  assert.equal(await page.locator(".balance").textContent(), `${number(total)} credits`);
  const { data } = await house.api("/credits/entries?limit=50");
  await until("every entry is a row", async () => (await page.locator("tbody tr").count()) === data.length);
  const sums = await page.locator("tbody tr td:last-child").allTextContents();
  const value = (text) => Number(text.replaceAll(",", "").replace("−", "-").replace("+", ""));
  assert.equal(sums.map(value).reduce((sum, one) => sum + one, 0), total);
  await page.context().close();
});
