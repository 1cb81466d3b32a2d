// Values with their units, as Grafana names those.

import { figure, ms, percent, t } from "./words";

const KIBI = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Returns how values of a unit are written. */
export function writer(unit: string): (value: number) => string {
  switch (unit) {
    case "s":
      return (value) => ms(value * 1000);
    case "percentunit":
      return percent;
    case "bytes":
      return bytes;
    case "reqpm":
    case "cpm":
      return (value) => `${figure(value)}/min`;
    case "bool_yes_no":
      return (value) => t(value ? "yes" : "no");
    default:
      return figure;
  }
}

function bytes(value: number): string {
  const power = Math.min(Math.floor(Math.log2(Math.max(Math.abs(value), 1)) / 10), KIBI.length - 1);
  return `${figure(value / 1024 ** power)} ${KIBI[power]}`;
}
