// Coming in, going out, and finding one's way by keys alone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openHouse, until } from "./house.mjs";

let house;
before(async () => (house = await openHouse()));
after(() => house?.close());

const stored = (page) => page.evaluate(() => [localStorage.getItem("kinora-key"), sessionStorage.getItem("kinora-key")]);

test("the link of the first start signs in, once, and leaves no code behind", async () => {
  const page = await house.open(house.studioUrl, { signedIn: false });
  await page.getByRole("tab", { name: "Edit" }).waitFor();
  assert.deepEqual(await stored(page), [house.key, null]);
  assert.ok(!page.url().includes("start="), page.url());
  await page.reload();
  await page.getByRole("tab", { name: "Edit" }).waitFor();
  const other = await house.open(house.studioUrl, { signedIn: false });
  await other.getByRole("alert").getByText(/has been used or is too old/).waitFor();
  await other.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.context().close();
  await other.context().close();
});

test("a wrong key is refused at its field, the right one comes in, and out again", async () => {
  const page = await house.open("/studio#/account", { signedIn: false });
  const field = page.getByLabel("API key");
  const check = async (key, fault) => {
    await field.fill(key);
    await field.press("Enter");
    await page.locator("#key-fault").getByText(fault).waitFor();
    assert.equal(await field.getAttribute("aria-invalid"), "true");
  };
  await check("", "Enter an API key.");
  await check("kinora_wrong", "does not know this key");
  await check("ключ", "letters, digits and signs only");
  await page.getByLabel("Stay signed in").uncheck();
  await field.fill(` ${house.key} `);
  await field.press("Enter");
  await page.getByRole("heading", { name: "Ledger" }).waitFor();
  assert.deepEqual(await stored(page), [null, house.key]);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.deepEqual(await stored(page), [null, null]);
  await page.context().close();
});

test("a key that the server no longer knows leads to the form", async () => {
  const page = await house.open("/studio", { signedIn: false });
  await page.evaluate(() => localStorage.setItem("kinora-key", "kinora_revoked"));
  await page.reload();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.match(await page.getByRole("alert").textContent(), /does not know this key/, "and says why");
  await page.context().close();
});

test("everything is reached by keys", async () => {
  const page = await house.open();
  await page.getByRole("tab", { name: "Text & image" }).focus();
  const selected = () => page.getByRole("tab", { selected: true }).textContent();
  await page.keyboard.press("ArrowRight");
  assert.equal(await selected(), "First & last frame");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await selected(), "Edit");
  await page.keyboard.press("ArrowRight");
  assert.equal(await selected(), "Text & image");
  // From the modes on, every stop of the tabulator is a control that shows it has the focus.
  const stops = [];
  for (let step = 0; step < 40 && stops.at(-1) !== "Make the video"; step += 1) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const at = document.activeElement;
      const mark = at.matches("[type=radio]") ? at.nextElementSibling : at;
      const name = at.labels?.[0]?.textContent ?? at.getAttribute("aria-label") ?? at.textContent;
      return { name: name.trim(), visible: getComputedStyle(mark).outlineStyle !== "none" };
    });
    assert.ok(stop.visible, `${stop.name} shows the focus`);
    stops.push(stop.name);
  }
  for (const name of ["Words only", "Sound", "Prompt", "16:9", "720p", "Duration", "More settings", "Copy as code", "Make the video"]) {
    assert.ok(stops.includes(name), `${name} is among ${stops.join(", ")}`);
  }
  await page.getByRole("textbox", { name: "Prompt" }).fill("By keys");
  await page.getByRole("slider", { name: "Duration" }).press("Home");
  await page.keyboard.press("Control+Enter");
  await until("it was sent", async () => (await house.newest())?.input.prompt === "By keys");
  await page.context().close();
});

test("light and dark follow the system until the person chooses", async () => {
  const page = await house.open("/studio", { colorScheme: "dark" });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await ground();
  await page.emulateMedia({ colorScheme: "light" });
  await until("the page is light", async () => (await ground()) !== dark);
  await page.getByRole("button", { name: "Dark colours" }).click();
  assert.equal(await ground(), dark);
  await page.reload();
  assert.equal(await ground(), dark, "it is remembered");
  await page.context().close();
});
