// Light or dark: as the system has it, or as the person chose.

import { computed, effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const wants = matchMedia("(prefers-color-scheme: dark)");
const system = signal(wants.matches);
wants.addEventListener("change", () => (system.value = wants.matches));

const kept = localStorage.getItem("drover-theme");
export const chosenTheme = signal<Theme>(kept === "light" || kept === "dark" ? kept : "system");

/** What is shown now. */
export const theme = computed(() => (chosenTheme.value === "system" ? (system.value ? "dark" : "light") : chosenTheme.value));

export function choose(next: Theme): void {
  chosenTheme.value = next;
  localStorage.setItem("drover-theme", next);
}

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
});
