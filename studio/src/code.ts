// A request as a program: the same in curl, Python and TypeScript. Each can be run as it stands, given the key in the
// environment and the files in the current folder.
import { jsonOf, type Medium, type Scalar } from "./draft";

export interface Request {
  /** The address of the server. */
  origin: string;
  model: string;
  media: [string, Medium][];
  scalars: [string, Scalar][];
}

export const LANGUAGES = { curl: curlOf, Python: pythonOf, TypeScript: typescriptOf } as const;
export type Language = keyof typeof LANGUAGES;

const hasFiles = ({ media }: Request) => media.some(([, medium]) => medium.kind === "file");

/** One argument of a shell. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

export function curlOf(request: Request): string {
  const lines = [`curl ${request.origin}/api/v1/generation/${request.model}`, `-H "Authorization: Bearer $KINORA_API_KEY"`];
  if (hasFiles(request)) {
    // A plain -F would read a file where a value begins with @ or <.
    for (const [name, value] of request.scalars) lines.push(`--form-string ${quoted(`${name}=${value}`)}`);
    for (const [name, medium] of request.media) {
      if (medium.kind === "url") lines.push(`--form-string ${quoted(`${name}=${medium.url}`)}`);
      else lines.push(`-F ${quoted(`${name}=@${fileOfForm(medium.file.name)}`)}`);
    }
  } else {
    lines.push(`-H "Content-Type: application/json"`, `-d ${quoted(JSON.stringify(jsonOf(request), null, 2))}`);
  }
  return lines.join(" \\\n  ");
}

/** curl takes commas and semicolons in a name for its own. */
const fileOfForm = (name: string) => (/[",;]/.test(name) ? `"${name.replaceAll(/["\\]/g, "\\$&")}"` : name);

export function pythonOf(request: Request): string {
  const { origin, model, media, scalars } = request;
  const text = (value: string) => JSON.stringify(value);
  const literal = (value: unknown, indent: string): string => {
    if (value === true) return "True";
    if (value === false) return "False";
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const deeper = `${indent}    `;
    if (Array.isArray(value)) return `[${value.map((item) => literal(item, deeper)).join(", ")}]`;
    const members = Object.entries(value).map(([name, item]) => `${deeper}${text(name)}: ${literal(item, deeper)},\n`);
    return `{\n${members.join("")}${indent}}`;
  };
  const parts = [
    ...scalars.map(([name, value]) => `    (${text(name)}, (None, ${text(String(value))})),\n`),
    ...media.map(([name, medium]) =>
      medium.kind === "url"
        ? `    (${text(name)}, (None, ${text(medium.url)})),\n`
        : `    (${text(name)}, open(${text(medium.file.name)}, "rb")),\n`,
    ),
  ];
  const body = hasFiles(request) ? `files=[\n${parts.join("")}]` : `json=${literal(jsonOf(request), "")}`;
  return `import os, time
import requests

api = "${origin}/api/v1"
session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['KINORA_API_KEY']}"

answer = session.post(f"{api}/generation/${model}", ${body})
if not answer.ok:
    raise SystemExit(answer.text)

url = f"{api}/generation/{answer.json()['id']}"
while (generation := session.get(url).json())["status"] in ("IN_QUEUE", "IN_PROGRESS"):
    time.sleep(1)
if generation["status"] != "COMPLETED":
    raise SystemExit(generation.get("message", generation["status"]))

for video in generation["data"]["videos"]:
    with open(video["file_name"], "wb") as file:
        file.write(requests.get(video["url"]).content)
    print(video["file_name"])
`;
}

export function typescriptOf(request: Request): string {
  const { origin, model, media, scalars } = request;
  const text = (value: string) => JSON.stringify(value);
  const files = hasFiles(request);
  const body = files
    ? [
        "const body = new FormData();",
        ...scalars.map(([name, value]) => `body.append(${text(name)}, ${text(String(value))});`),
        ...media.map(([name, medium]) =>
          medium.kind === "url"
            ? `body.append(${text(name)}, ${text(medium.url)});`
            : `body.append(${text(name)}, await openAsBlob(${text(medium.file.name)}), ${text(medium.file.name)});`,
        ),
      ].join("\n")
    : `const body = JSON.stringify(${JSON.stringify(jsonOf(request), null, 2)});`;
  const headers = files ? "headers" : `headers: { ...headers, "content-type": "application/json" }`;
  return `${files ? `import { openAsBlob } from "node:fs";\n` : ""}import { writeFile } from "node:fs/promises";

const api = "${origin}/api/v1";
const headers = { authorization: \`Bearer \${process.env.KINORA_API_KEY}\` };

${body}
const answer = await fetch(\`\${api}/generation/${model}\`, { method: "POST", ${headers}, body });
if (!answer.ok) throw new Error(await answer.text());
const { id } = await answer.json();

let generation;
do {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  generation = await (await fetch(\`\${api}/generation/\${id}\`, { headers })).json();
} while (["IN_QUEUE", "IN_PROGRESS"].includes(generation.status));
if (generation.status !== "COMPLETED") throw new Error(generation.message ?? generation.status);

for (const video of generation.data.videos) {
  const file = await fetch(video.url);
  await writeFile(video.file_name, Buffer.from(await file.arrayBuffer()));
  console.log(video.file_name);
}
`;
}
