// Light or dark: as the system has it, until the person says otherwise on this browser.
import { Cell } from "./cell";

export type Theme = "light" | "dark";

const PLACE = "kinora-theme";
const system = matchMedia("(prefers-color-scheme: dark)");

function present(): Theme {
  const chosen = localStorage.getItem(PLACE);
  if (chosen === "light" || chosen === "dark") return chosen;
  return system.matches ? "dark" : "light";
}

export const theme = new Cell<Theme>(present());

function show(): void {
  theme.set(present());
  document.documentElement.dataset["theme"] = theme.value;
}

show();
system.addEventListener("change", show);

export function otherTheme(): void {
  const next: Theme = theme.value === "dark" ? "light" : "dark";
  // Whoever goes back to what the system has follows the system again.
  if (next === (system.matches ? "dark" : "light")) localStorage.removeItem(PLACE);
  else localStorage.setItem(PLACE, next);
  show();
}
