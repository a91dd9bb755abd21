// Which view is shown: the part of the address behind the #, so that "back" works and views can be linked.
import { Cell } from "./cell";

const PLAIN = ["create", "gallery", "account", "keys", "webhooks"] as const;

export type Route = { view: (typeof PLAIN)[number] } | { view: "one"; id: string } | { view: "endpoint"; id: string };

export const route = new Cell<Route>(parse(location.hash));

function parse(hash: string): Route {
  const [view, id] = hash.replace(/^#\/?/, "").split("/");
  if (view === "video" && id !== undefined && /^gen_[0-9A-Z]+$/.test(id)) return { view: "one", id };
  if (view === "webhooks" && id !== undefined && /^whe_[0-9A-Z]+$/.test(id)) return { view: "endpoint", id };
  return { view: PLAIN.find((one) => one === view) ?? "create" };
}

export function hrefOf(route: Route): string {
  switch (route.view) {
    case "one":
      return `#/video/${route.id}`;
    case "endpoint":
      return `#/webhooks/${route.id}`;
    default:
      return `#/${route.view}`;
  }
}

export function go(to: Route): void {
  if (location.hash !== hrefOf(to)) location.hash = hrefOf(to);
  route.set(to);
}

addEventListener("hashchange", () => route.set(parse(location.hash)));
