// Theme: light, dark, or as the system has it. Remembered in this browser, where that can be. Not the colours (base.css).

export type Theme = "auto" | "light" | "dark";
const THEMES: Theme[] = ["auto", "light", "dark"];
const KEY = "isconf-theme";

/** What was chosen here before. */
export function readTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY) as Theme;
    return THEMES.includes(kept) ? kept : "auto";
  } catch {
    return "auto"; // a browser may forbid to remember anything
  }
}

export function nextTheme(theme: Theme): Theme {
  return THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] as Theme;
}

/** Puts it on, and remembers it. */
export function wearTheme(theme: Theme): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // then it lasts as long as this page
  }
}
