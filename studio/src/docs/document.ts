// The server's description of its API, as far as the page reads it, and how its schemas are put into words.

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  enum?: (string | number)[];
  default?: unknown;
  example?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  pattern?: string;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  description?: string;
  required?: boolean;
  schema: Schema;
  example?: unknown;
}

type Content = Record<string, { schema?: Schema; example?: unknown }>;

export interface Answer {
  description: string;
  headers?: Record<string, { description?: string }>;
  content?: Content;
}

export interface Operation {
  operationId: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { content: Content };
  responses: Record<string, Answer>;
  security?: object[];
}

export interface Document {
  info: { title: string; version: string; description?: string };
  servers: { url: string }[];
  tags: { name: string; description?: string }[];
  paths: Record<string, Record<string, Operation | { url: string }[]>>;
  components: { schemas: Record<string, Schema> };
}

/** An operation with its place. */
export interface Placed extends Operation {
  method: string;
  path: string;
}

const METHODS = ["get", "post", "patch", "delete", "head"];

/** The operations of a group, in the order of the document. */
export function operationsOf(document: Document, tag: string): Placed[] {
  return Object.entries(document.paths).flatMap(([path, item]) => {
    const [server] = (item["servers"] as { url: string }[] | undefined) ?? document.servers;
    const base = server?.url.replace(/\/$/, "") ?? "";
    return METHODS.filter((method) => item[method] !== undefined)
      .map((method) => ({ ...(item[method] as Operation), method, path: base + path }))
      .filter((operation) => operation.tags?.includes(tag));
  });
}

const nameOf = (ref: string) => ref.replace("#/components/schemas/", "");

/** The schema itself, where `schema` names one; its own description wins. */
export function resolve(document: Document, schema: Schema): Schema {
  if (schema.$ref === undefined) return schema;
  const { $ref: ref, ...own } = schema;
  return { ...(document.components.schemas[nameOf(ref)] ?? {}), ...own };
}

/** What a schema's values are, in a few words. */
export function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return nameOf(schema.$ref);
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(" or ");
  if (schema.type === "array") return `array of ${schema.items === undefined ? "anything" : typeOf(schema.items)}`;
  if (schema.format === "binary") return "file";
  if (schema.format === "uri") return "URL";
  if (schema.format === "date-time") return "time";
  return schema.type ?? "anything";
}

/** The object behind a schema, an array's items or a nullable one. */
export function objectIn(document: Document, schema: Schema): Schema | null {
  const resolved = resolve(document, schema);
  if (resolved.properties !== undefined) return resolved;
  if (resolved.items !== undefined) return objectIn(document, resolved.items);
  for (const choice of resolved.anyOf ?? []) {
    const found = objectIn(document, choice);
    if (found !== null) return found;
  }
  return null;
}

/** The bounds of a schema's values, a phrase each. */
export function boundsOf(document: Document, schema: Schema): string[] {
  const own = resolve(document, schema);
  const bounds: string[] = [];
  const { minimum, maximum, minLength, maxLength, maxItems } = own;
  const values = own.enum ?? (own.items === undefined ? undefined : resolve(document, own.items).enum);
  if (values !== undefined) bounds.push(values.map(String).join(" · "));
  else if (minimum !== undefined && maximum !== undefined) bounds.push(`${minimum} to ${maximum}`);
  else if (minimum !== undefined && minimum > 0) bounds.push(`at least ${minimum}`);
  if (minLength !== undefined && maxLength !== undefined) bounds.push(`${minLength} to ${maxLength} characters`);
  else if (maxLength !== undefined) bounds.push(`at most ${maxLength} characters`);
  if (maxItems !== undefined) bounds.push(`at most ${maxItems} items`);
  for (const choice of own.anyOf ?? []) bounds.push(...boundsOf(document, choice));
  return [...new Set(bounds)];
}
