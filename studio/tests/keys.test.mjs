// API keys: made and used, shown once, revoked; and what a key that may only look is told.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { faultOf, openHouse, until } from "./house.mjs";

let house;
before(async () => (house = await openHouse()));
after(() => house?.close());

const row = (page, name) => page.getByRole("list", { name: "Keys", exact: true }).getByRole("listitem").filter({ hasText: name });
const status = async (key, path = "/credits") =>
  (await fetch(`${house.url}/api/v1${path}`, { headers: { authorization: `Bearer ${key}` } })).status;

/** Makes a key in the page; its secret, with the dialog still open. */
async function makeKey(page, name, access) {
  await page.getByRole("button", { name: "New key" }).click();
  const dialog = page.getByRole("dialog", { name: "New API key" });
  await dialog.getByLabel("Name").fill(name);
  await dialog.getByRole("radio", { name: access }).check();
  await dialog.getByRole("button", { name: "Make the key" }).click();
  const made = page.getByRole("dialog", { name: `The key “${name}”` });
  await made.getByText("it will not be shown again").waitFor();
  return await made.getByLabel("API key").inputValue();
}

test("a key is made, shown once, used, and revoked", async () => {
  const page = await house.open("/studio#/keys", { permissions: ["clipboard-read", "clipboard-write"] });
  const secret = await makeKey(page, "render farm", "Full access");
  assert.match(secret, /^kinora_/);
  assert.equal(await status(secret), 200);
  // A click beside what would be lost does not lose it.
  await page.mouse.click(5, 5);
  await page.getByRole("button", { name: "Copy" }).click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.getByRole("button", { name: "Done" }).click();
  await row(page, "render farm").waitFor();
  assert.ok(!(await page.content()).includes(secret), "it is gone from the page");
  await page.reload();
  await row(page, "render farm").waitFor();
  assert.ok(!(await page.content()).includes(secret), "and does not come back");
  assert.ok(!JSON.stringify(await house.api("/keys")).includes(secret));

  const revoke = page.getByRole("button", { name: "Revoke: render farm" });
  await revoke.click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
  await until("the focus is back where it was", () => revoke.evaluate((button) => button === document.activeElement));
  assert.equal(await status(secret), 200);
  await revoke.click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row(page, "render farm").waitFor({ state: "detached" });
  assert.equal(await status(secret), 401);
  await page.getByText("Revoked keys (1)").click();
  await page.getByRole("list", { name: "Revoked keys" }).getByText("render farm").waitFor();
  await page.context().close();
});

test("the key in use has no button, and the server's refusal stands beside it", async () => {
  const page = await house.open("/studio#/keys");
  const own = page.getByRole("list", { name: "Keys", exact: true }).getByRole("listitem").filter({ hasText: "This browser" });
  await own.getByText("cannot revoke itself").waitFor();
  assert.equal(await own.getByRole("button").count(), 0);
  await page.context().close();

  // A list that is out of date shows the button: signed in anew meanwhile, say.
  const stale = await house.open("/healthz");
  let listed = 0;
  await stale.route("**/api/v1/keys", async (route) => {
    const answer = await route.fetch();
    const body = await answer.json();
    for (const key of body.data) key.name = key.current ? "in truth mine" : key.name;
    // The page learns first that the key may do everything.
    if (listed > 0) for (const key of body.data) key.current = false;
    listed += 1;
    await route.fulfill({ response: answer, json: body });
  });
  await stale.goto(`${house.url}/studio#/gallery`);
  await until("the page knows its key", () => listed > 0);
  await stale.getByRole("navigation", { name: "Views" }).getByRole("link", { name: "Keys" }).click();
  await stale.getByRole("button", { name: "Revoke: in truth mine" }).click();
  await stale.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await row(stale, "in truth mine").getByRole("alert").getByText("revoke it with another one").waitFor();
  assert.equal(await status(house.key), 200);
  await stale.context().close();
});

test("what is wrong with a new key stands at its field", async () => {
  const page = await house.open("/studio#/keys");
  await page.getByRole("button", { name: "New key" }).click();
  const name = page.getByLabel("Name");
  assert.ok(await name.evaluate((input) => input === document.activeElement), "one can type at once");
  await name.press("Enter");
  assert.match(await faultOf(name), /what the key is for/);
  await name.fill("x".repeat(101));
  assert.equal(await page.locator(".fault").count(), 0, "what is mended is no longer blamed");
  await name.press("Enter");
  assert.match(await faultOf(name), /101 characters; at most 100/);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.context().close();
});

test("a key that may only look is told so, and offered nothing else", async () => {
  const full = await house.open("/studio#/keys");
  const secret = await makeKey(full, "dashboard", "Read only");
  await full.context().close();
  const page = await house.open("/studio#/keys", { key: secret });
  await page.getByText("a key that may only look").waitFor();
  await row(page, "dashboard").getByText("This browser").waitFor();
  assert.equal(await page.getByRole("button", { name: "New key" }).count(), 0);
  assert.equal(await page.getByRole("button", { name: /^Revoke/ }).count(), 0);
  await page.getByRole("link", { name: "Webhooks" }).click();
  await page.getByText("Nobody is told yet.").waitFor();
  assert.equal(await page.getByRole("button", { name: /New endpoint|signing secret/ }).count(), 0);
  await page.getByText("a key that may only look").waitFor();
  await page.context().close();
});

test("a key is made by keys alone", async () => {
  const page = await house.open("/studio#/gallery");
  await page.getByRole("link", { name: "Keys" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  await page.getByRole("button", { name: "New key" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "New API key" }).waitFor();
  await page.keyboard.type("typed");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.getByRole("radio", { name: "Read only" }).isChecked());
  await page.keyboard.press("Enter");
  const secret = page.getByRole("dialog").getByLabel("API key");
  await secret.waitFor();
  assert.ok(await secret.evaluate((input) => input === document.activeElement && input.selectionEnd - input.selectionStart === input.value.length));
  await page.keyboard.press("Escape");
  await row(page, "typed").getByText("Read only").waitFor();
  await page.context().close();
});
