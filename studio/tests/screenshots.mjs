// The pictures of docs/studio.md, taken from a real server: `npm run screenshots`. The page asks for Inter and takes
// what the system has instead.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { choose, mode, openHouse, pick, until } from "./house.mjs";

const FOLDER = process.env.IMAGES ?? fileURLToPath(new URL("../../docs/images/", import.meta.url));
const WIDE = { viewport: { width: 1280, height: 860 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const LOOKS = {
  light: { ...WIDE, colorScheme: "light" },
  dark: { ...WIDE, colorScheme: "dark" },
  phone: { ...PHONE, colorScheme: "light" },
};

const PROMPTS = [
  ["Fog rolls over a harbour at first light", { aspect_ratio: "16:9" }],
  ["A paper boat crosses a rain puddle, macro shot", { aspect_ratio: "16:9" }],
  ["A lighthouse in a storm, seen from the sea", { aspect_ratio: "4:3" }],
  ["A tram climbs a steep street in the evening", { aspect_ratio: "9:16" }],
  ["Lanterns drift over a still lake", { aspect_ratio: "1:1" }],
];

const house = await openHouse({ KINORA_WEBHOOKS__ALLOW_HOSTS: "127.0.0.1" });
mkdirSync(FOLDER, { recursive: true });

/** Something to look at, larger than what the tests send. */
const picture = (name, source) => {
  const path = join(house.folder, name);
  execFileSync("ffmpeg", ["-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", "1", path]);
  return path;
};
const dawn = picture("dawn.png", "gradients=size=1280x720:c0=#f4a259:c1=#2a4d69:n=2:x0=0:y0=0:x1=0:y1=720");
const dusk = picture("dusk.png", "gradients=size=1280x720:c0=#1b2a49:c1=#e07a5f:n=2:x0=0:y0=0:x1=0:y1=720");

// A receiver that has trouble with one of them.
const receiver = createServer(async (request, response) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  if (text.includes("tram")) response.writeHead(500).end("The shop is closed.");
  else response.writeHead(204).end();
});
await new Promise((done) => receiver.listen(0, "127.0.0.1", done));
const events = ["task.completed", "task.failed"];
const shop = await house.api("/webhooks", {
  body: { url: `http://127.0.0.1:${receiver.address().port}/kinora`, description: "The shop", events },
});
// Disabled: nobody is to be asked by a name of the pictures.
await house.api("/webhooks", { body: { url: "https://hooks.example.com/archive", description: "The archive", enabled: false } });
await house.api("/keys", { body: { name: "Render farm" } });
await house.api("/keys", { body: { name: "Dashboard", scope: "read" } });

let shown;
for (const [prompt, members] of PROMPTS) {
  const made = await house.make(prompt, members);
  if (prompt.includes("paper boat")) shown = made;
}
await house.api(`/webhooks/${shop.id}/test`, { method: "POST" });
const log = async () => (await house.api(`/webhooks/${shop.id}/deliveries`)).data;
await until("the receiver was told, and told again", async () => {
  const told = await log();
  return told.length === PROMPTS.length + 1 && told.every(({ status, tries }) => status === "delivered" || tries.length === 2);
});

const VIEWS = {
  "sign-in": async (open) => {
    const page = await open("/studio", { signedIn: false });
    await page.getByLabel("API key").waitFor();
    return page;
  },
  create: async (open) => {
    const page = await open("/studio");
    await page.getByRole("textbox", { name: "Prompt" }).fill("A kite over the dunes, late afternoon");
    await pick(page, "720p");
    await page.getByText("50 credits", { exact: true }).waitFor();
    return page;
  },
  frames: async (open) => {
    const page = await open("/studio");
    await mode(page, "First & last frame");
    await choose(page, "First frame", dawn);
    await choose(page, "Last frame", dusk);
    await page.getByRole("textbox", { name: "Prompt" }).fill("The sun sets behind the hills");
    await pick(page, "720p");
    await page.getByText("50 credits", { exact: true }).waitFor();
    return page;
  },
  progress: async (open) => {
    const page = await open("/studio");
    await page.getByRole("textbox", { name: "Prompt" }).fill("Snow falls on a garden gate");
    await page.getByRole("slider", { name: "Duration" }).press("End");
    await page.getByRole("button", { name: /^Make/ }).click();
    await until("it is seen", () => page.locator(".so-far").evaluate((image) => image.naturalWidth > 0));
    await until("it is on its way", () => page.locator(".underway progress").evaluate((element) => element.value > 30));
    return page;
  },
  errors: async (open) => {
    const page = await open("/studio");
    await pick(page, "A clip, continued");
    await choose(page, "Clip to continue", house.media("clip.mp4"));
    await page.getByRole("slider", { name: "Duration" }).press("Home");
    await page.locator(".fault").waitFor();
    await page.locator("#duration").evaluate((element) => element.scrollIntoView({ block: "center" }));
    return page;
  },
  gallery: async (open) => {
    await house.api("/generation/wan/wan-v2.7-video", { body: { prompt: "Snow falls on a garden gate", resolution: "1080p", duration: 15 } });
    const page = await open("/studio#/gallery");
    await page.locator(".card img").first().waitFor();
    await until("it is on its way", () => page.locator(".cards progress").evaluate((element) => element.value > 30));
    return page;
  },
  video: async (open) => {
    const page = await open(`/studio#/video/${shown.id}`);
    const video = page.locator("video.screen");
    await until("there is a picture", () => video.evaluate((video) => video.readyState === 4));
    // Some frames in: before the first one is drawn the browser shows that it waits.
    await video.evaluate((video) => video.play());
    await until("it plays", () => video.evaluate((video) => video.currentTime > 0.6));
    await video.evaluate((video) => video.pause());
    return page;
  },
  code: async (open) => {
    const page = await open("/studio");
    await page.getByRole("textbox", { name: "Prompt" }).fill("A kite over the dunes, late afternoon");
    await page.getByRole("button", { name: "Copy as code" }).click();
    await page.getByRole("tab", { name: "Python" }).click();
    return page;
  },
  credits: async (open) => {
    const page = await open("/studio#/account");
    await page.locator("tbody tr").nth(3).waitFor();
    return page;
  },
  keys: async (open) => {
    const page = await open("/studio#/keys");
    await page.getByText("Dashboard").waitFor();
    return page;
  },
  "new-key": async (open) => {
    const page = await open("/studio#/keys");
    await page.getByRole("button", { name: "New key" }).click();
    await page.getByLabel("Name").fill("Editing room");
    await page.getByRole("button", { name: "Make the key" }).click();
    await page.getByText("it will not be shown again").waitFor();
    return page;
  },
  webhooks: async (open) => {
    const page = await open("/studio#/webhooks");
    await page.getByText("The shop").waitFor();
    return page;
  },
  "new-endpoint": async (open) => {
    const page = await open("/studio#/webhooks");
    await page.getByRole("button", { name: "New endpoint" }).click();
    await page.getByLabel("URL").fill("https://10.0.0.7/kinora");
    await page.getByLabel("Description").fill("The archive");
    await page.getByRole("radio", { name: "Only these" }).check();
    await page.getByRole("checkbox", { name: /task\.completed/ }).check();
    await page.getByRole("button", { name: "Make the endpoint" }).click();
    await page.locator(".fault").waitFor();
    return page;
  },
  endpoint: async (open) => {
    const page = await open(`/studio#/webhooks/${shop.id}`);
    const failed = page.getByRole("listitem").filter({ hasText: "Next try" });
    await failed.locator("summary").click();
    await page.evaluate(() => scrollTo(0, 0));
    return page;
  },
  docs: async (open) => {
    const page = await open("/docs");
    await page.locator("#create_generation").waitFor();
    return page;
  },
  operation: async (open) => {
    const page = await open("/docs#create_generation");
    await page.locator("#create_generation").waitFor();
    return page;
  },
};

/** Ends and clears away what an earlier picture has left. */
async function calm() {
  for (const { id } of await house.api("/generations/running")) await house.api(`/generation/${id}/cancel`, { method: "POST" });
  await until("nothing runs", async () => (await house.api("/generations/running")).length === 0);
  for (const { id } of (await house.api("/generations?status=CANCELED")).data) await house.api(`/generation/${id}`, { method: "DELETE" });
  const keys = (await house.api("/keys")).data.filter(({ name, revoked_at }) => name === "Editing room" && revoked_at === null);
  for (const { id } of keys) await house.api(`/keys/${id}`, { method: "DELETE" });
}

const wanted = process.argv.slice(2);
try {
  await takeAll();
} finally {
  receiver.close();
  await house.close();
}

async function takeAll() {
  for (const [look, options] of Object.entries(LOOKS)) {
    for (const [view, show] of Object.entries(VIEWS)) {
      const name = `studio-${view}-${look}.png`;
      if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
      await calm();
      const pages = [];
      const page = await show(async (path, more) => {
        const page = await house.open(path, { ...options, ...more });
        pages.push(page);
        return page;
      });
      await page.evaluate(() => document.activeElement?.blur());
      await page.waitForLoadState("networkidle", { timeout: 3000 }).catch(() => undefined);
      const raw = join(house.folder, "raw.png");
      await page.screenshot({ path: raw });
      for (const page of pages) await page.context().close();
      // 256 colours are plenty for pages of a few, and a fifth of the size.
      const palette = "split[a][b];[a]palettegen=max_colors=256:stats_mode=full[p];[b][p]paletteuse=dither=bayer:bayer_scale=5";
      execFileSync("ffmpeg", ["-hide_banner", "-loglevel", "error", "-y", "-i", raw, "-vf", palette, join(FOLDER, name)]);
      rmSync(raw);
      console.log(`${name}: ${Math.ceil(statSync(join(FOLDER, name)).size / 1000)} kB`);
    }
  }
}
