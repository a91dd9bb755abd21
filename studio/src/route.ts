// Which view is shown: the part of the address behind the #, so that "back" works and views can be linked.
import { Cell } from "./cell";

export type Route = { view: "create" } | { view: "gallery" } | { view: "account" } | { view: "one"; id: string };

export const route = new Cell<Route>(parse(location.hash));

function parse(hash: string): Route {
  const [view, id] = hash.replace(/^#\/?/, "").split("/");
  if (view === "gallery" || view === "account") return { view };
  if (view === "video" && id !== undefined && /^gen_[0-9A-Z]+$/.test(id)) return { view: "one", id };
  return { view: "create" };
}

export function hrefOf(route: Route): string {
  return route.view === "one" ? `#/video/${route.id}` : `#/${route.view}`;
}

export function go(to: Route): void {
  if (location.hash !== hrefOf(to)) location.hash = hrefOf(to);
  route.set(to);
}

addEventListener("hashchange", () => route.set(parse(location.hash)));
