// What holds for every view: no serious finding of an accessibility audit, a small first load; and the API reference.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, test } from "node:test";
import { audit, choose, mode, openHouse, until } from "./house.mjs";

const FIRST_LOAD_MAX = 100_000;

let house;
let made;
let endpoint;
before(async () => {
  house = await openHouse({ KINORA_WEBHOOKS__ALLOW_HOSTS: "127.0.0.1" });
  // Nobody listens there: what it is told fails, and is seen to.
  endpoint = await house.api("/webhooks", { body: { url: "http://127.0.0.1:9/", description: "The shop" } });
  const { id } = await house.api("/keys", { body: { name: "an old one" } });
  await house.api(`/keys/${id}`, { method: "DELETE" });
  made = await house.make("A paper boat");
});
after(() => house?.close());

const LOOKS = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, hasTouch: true },
};

const VIEWS = {
  "sign in": async (open) => {
    const page = await open("/studio", { signedIn: false });
    await page.getByLabel("API key").press("Enter");
    await page.locator(".fault").waitFor();
    return page;
  },
  create: async (open) => {
    const page = await open("/studio");
    await page.locator(".recent img").waitFor();
    await page.getByText("More settings").click();
    await page.getByRole("button", { name: /^Make/ }).click();
    await page.locator(".fault").waitFor();
    return page;
  },
  frames: async (open) => {
    const page = await open("/studio");
    await mode(page, "First & last frame");
    await choose(page, "First frame", house.media("first.png"));
    await page.getByText("320 × 240").waitFor();
    return page;
  },
  reference: async (open) => {
    const page = await open("/studio");
    await mode(page, "Reference");
    await choose(page, "Reference images", house.media("first.png"), house.media("last.png"));
    await choose(page, "Reference videos", house.media("clip.mp4"));
    await page.getByText("Video 1", { exact: true }).waitFor();
    return page;
  },
  edit: async (open) => {
    const page = await open("/studio");
    await mode(page, "Edit");
    await page.getByText("More settings").click();
    return page;
  },
  code: async (open) => {
    const page = await open("/studio");
    await page.getByRole("textbox", { name: "Prompt" }).fill("A boat");
    await page.getByRole("button", { name: "Copy as code" }).click();
    await page.getByRole("dialog").waitFor();
    return page;
  },
  gallery: async (open) => {
    const page = await open("/studio#/gallery");
    await page.locator(".card img").first().waitFor();
    return page;
  },
  video: async (open) => {
    const page = await open(`/studio#/video/${made.id}`);
    await page.locator("video.screen").waitFor();
    return page;
  },
  credits: async (open) => {
    const page = await open("/studio#/account");
    await page.locator("tbody tr").first().waitFor();
    return page;
  },
  keys: async (open) => {
    const page = await open("/studio#/keys");
    await page.getByText("Revoked keys").click();
    return page;
  },
  "new key": async (open) => {
    const page = await open("/studio#/keys");
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByLabel("Name").press("Enter");
    await page.locator(".fault").waitFor();
    return page;
  },
  webhooks: async (open) => {
    const page = await open("/studio#/webhooks");
    await page.getByRole("button", { name: "Show the signing secret" }).click();
    await page.getByLabel("Signing secret of the workspace").waitFor();
    return page;
  },
  "new endpoint": async (open) => {
    const page = await open("/studio#/webhooks");
    await page.getByRole("button", { name: "New endpoint" }).click();
    await page.getByRole("radio", { name: "Only these" }).check();
    await page.getByRole("button", { name: "Make the endpoint" }).click();
    await page.locator(".fault").first().waitFor();
    return page;
  },
  endpoint: async (open) => {
    const page = await open(`/studio#/webhooks/${endpoint.id}`);
    await page.locator(".tries summary").first().click();
    return page;
  },
  secret: async (open) => {
    const page = await open(`/studio#/webhooks/${endpoint.id}`);
    await page.getByRole("button", { name: "Rotate secret" }).click();
    await page.getByRole("button", { name: "Rotate", exact: true }).click();
    await page.getByText("it will not be shown again").waitFor();
    return page;
  },
  docs: async (open) => {
    const page = await open("/docs", { signedIn: false });
    await page.locator("#create_generation").waitFor();
    return page;
  },
};

const BARS = new Set(["create", "gallery", "keys", "endpoint", "docs"]);

for (const [look, options] of Object.entries(LOOKS)) {
  test(`no view has a serious finding (${look})`, async () => {
    for (const [name, show] of Object.entries(VIEWS)) {
      const page = await show((path, more = {}) => house.open(path, { ...options, ...more }));
      // A small screen shows the same in another order: what only that could break are the bars.
      if (look !== "phone" || BARS.has(name)) assert.deepEqual(await audit(page), [], name);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.ok(wide <= 0, `${name} is ${wide} pixels wider than the screen`);
      await page.context().close();
    }
  });
}

test("the smallest phones need not scroll sideways", async () => {
  for (const path of ["/studio", "/studio#/gallery", "/studio#/keys", "/docs"]) {
    const page = await house.open(path, { viewport: { width: 320, height: 640 }, isMobile: true, hasTouch: true });
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.locator(".balance, #create_generation").first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${path} is ${wide} pixels wider than the screen`);
    await page.context().close();
  }
});

test("the audit finds what is wrong", async () => {
  const page = await house.open("/studio");
  await page.getByRole("textbox", { name: "Prompt" }).waitFor();
  await page.evaluate(() => document.querySelector("main").append(document.createElement("button")));
  const found = await audit(page);
  assert.ok(found.some((line) => line.startsWith("button-name:")), found.join("\n"));
  await page.context().close();
});

test("the first load is small, and nothing comes from elsewhere", async () => {
  for (const path of ["/studio", "/docs"]) {
    const page = await house.open("/healthz", { signedIn: false });
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    let bytes = 0;
    const hosts = new Set();
    const data = new Set();
    session.on("Network.responseReceived", ({ requestId, response }) => {
      if (response.url.startsWith("http")) hosts.add(new URL(response.url).origin);
      // The description grows with the API, not with the page.
      if (response.url.endsWith("/openapi.json")) data.add(requestId);
    });
    session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      if (!data.has(requestId)) bytes += encodedDataLength;
    });
    const start = Date.now();
    await page.goto(house.url + path);
    await page.getByRole("heading", { level: 1 }).waitFor();
    const took = Date.now() - start;
    await page.waitForLoadState("networkidle");
    console.log(`${path}: ${bytes} bytes, ${took} ms to the first heading`);
    assert.ok(bytes > 5_000 && bytes <= FIRST_LOAD_MAX, `${path} loads ${bytes} bytes`);
    assert.deepEqual([...hosts], [house.url]);
    await page.context().close();
  }
});

test("the reference has every operation, member and status of the description", async () => {
  const document = await (await fetch(`${house.url}/openapi.json`)).json();
  const page = await house.open("/docs", { signedIn: false });
  await page.locator("#create_generation").waitFor();
  let count = 0;
  for (const item of Object.values(document.paths)) {
    for (const operation of Object.values(item).filter((one) => one.operationId)) {
      count += 1;
      const part = page.locator(`#${operation.operationId}`);
      const statuses = await part.locator(".status").allTextContents();
      assert.deepEqual(statuses, Object.keys(operation.responses), operation.operationId);
      for (const { name } of operation.parameters ?? []) assert.equal(await part.locator(".member-name", { hasText: name }).count() > 0, true, name);
    }
  }
  assert.ok(count >= 18, `${count} operations`);
  const members = page.locator("#create_generation-body-panel > .members > li > .member-head > .member-name");
  assert.deepEqual(await members.allTextContents(), Object.keys(document.components.schemas.CreateGeneration.properties));
  const codes = await page.locator("#errors tbody td:nth-child(2)").allTextContents();
  for (const code of document.components.schemas.GenerationView.properties.code.enum) assert.ok(codes.includes(code), code);
  await page.getByRole("navigation", { name: "Contents" }).getByRole("link", { name: /Cancel a generation/ }).click();
  await until("it is in view", () => page.locator("#cancel_generation").evaluate((part) => Math.abs(part.getBoundingClientRect().top - 75) < 60));
  await page.context().close();
});

test("the examples of the reference run as they stand", async () => {
  const page = await house.open("/docs", { signedIn: false });
  await page.locator("#create_generation").waitFor();
  const files = await page.locator("#start pre").textContent();
  const options = { cwd: house.folder, env: { ...process.env, KINORA_API_KEY: house.key }, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
  const lines = files.split("\n").filter((line) => line.startsWith("ffmpeg"));
  assert.equal(lines.length, 3);
  execFileSync("sh", ["-ec", lines.join("\n")], options);
  for (const feature of ["text-image", "frames", "reference", "edit-video"]) {
    const text = await page.locator(`#${feature} pre`).textContent();
    const answer = JSON.parse(execFileSync("sh", ["-c", `${text} --silent`], options));
    assert.equal(answer.input?.feature, feature, JSON.stringify(answer));
    const end = await until(`${feature} ends`, async () => {
      const now = await house.api(`/generation/${answer.id}`);
      return ["COMPLETED", "FAILED", "CANCELED"].includes(now.status) && now;
    });
    assert.equal(end.status, "COMPLETED", end.message);
  }
  await page.context().close();
});
