// What stands at the top of both pages: the name, and the switch between light and dark.
import { useCell } from "../cell";
import { otherTheme, theme } from "../theme";
import { Icon } from "./icons";

export function Brand({ page = "Studio" }: { page?: "Studio" | "API" }) {
  return (
    <a class="brand" href="/studio" title="To the Studio">
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="9" />
        <path d="M9.5 8v16M10 16.5 21 8.5M14.5 14l8 9.5" />
      </svg>
      <span>Kinora</span> <span class="brand-page">{page}</span>
    </a>
  );
}

export function ThemeButton() {
  const dark = useCell(theme) === "dark";
  const label = dark ? "Light colours" : "Dark colours";
  return (
    <button type="button" class="round" aria-label={label} title={label} onClick={otherTheme}>
      <Icon name={dark ? "sun" : "moon"} />
    </button>
  );
}
