// Where the person is: `#/functions/penguins/batch`, or `/penguins` for the page of a function alone.

import { computed, signal } from "@preact/signals";

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

/** The parts of the path, such as `["functions", "penguins", "batch"]`. */
export const path = computed(() => {
  const parts = hash.value.replace(/^#\/?/, "").split("/").filter(Boolean).map(decode);
  return parts.length ? parts : ["functions"];
});

/** The function whose page alone is asked for. */
export const alone = decode(location.pathname.split("/").filter(Boolean)[0] ?? "");

export const to = (...parts: string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
