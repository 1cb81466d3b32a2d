// The console: which page is shown, and what surrounds it.

import { render } from "preact";
import { adminKey } from "./api";
import { follow, link, picture, refusal } from "./live";
import { Dashboards } from "./pages/dashboards";
import { Feedback } from "./pages/feedback";
import { Function } from "./pages/function";
import { Functions } from "./pages/functions";
import { Instances } from "./pages/instances";
import { Live } from "./pages/live";
import { LoadTests } from "./pages/load";
import { Simple } from "./pages/simple";
import { KeyForm, Notice, Preferences } from "./parts";
import { alone, path, to } from "./route";
import { type Key, t } from "./words";

const sections: [string, Key, string][] = [
  ["functions", "functions", "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z"],
  ["live", "live", "M3 13h4l3-8 4 14 3-6h4"],
  ["dashboards", "dashboards", "M4 4h16v16H4zM8 16v-4M12 16V8M16 16v-6"],
  ["instances", "instances", "M4 5h16v5H4zM4 14h16v5H4zM7 7.5h.01M7 16.5h.01"],
  ["feedback", "feedback", "M4 5h16v11H10l-5 4v-4H4z"],
  ["load", "loadTests", "M4 18a8 8 0 1 1 16 0M12 18l4-6"],
];

/** As the page has it, with its version, so that it is loaded once. */
const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]")!.href;

function Page() {
  const [section, name, tab] = path.value;
  if (section === "live") return <Live name={name} />;
  if (section === "dashboards") return <Dashboards uid={name} name={tab} />;
  if (section === "instances") return <Instances />;
  if (section === "feedback") return <Feedback name={name} />;
  if (section === "load") return <LoadTests />;
  return name ? <Function key={name} name={name} tab={tab} /> : <Functions />;
}

/** Says why what runs is not shown, if it is not. */
function LinkState() {
  if (link.value === "locked") {
    return (
      <Notice tone={adminKey.value ? "bad" : "wait"}>
        <p>{adminKey.value ? refusal.value : t("locked")}</p>
        <KeyForm kind="admin" />
      </Notice>
    );
  }
  if (link.value === "refused") return <Notice tone="bad">{t("refused")} ({refusal.value})</Notice>;
  if (link.value === "lost") return <Notice tone="bad">{t("lost")}</Notice>;
  const { catalog_lost: catalog, scheduler_lost: scheduler } = picture.value ?? {};
  if (catalog) return <Notice tone="bad">{t("catalogLost", { why: catalog })}</Notice>;
  if (scheduler) return <Notice tone="bad">{t("schedulerLost", { why: scheduler })}</Notice>;
  return null;
}

function Console() {
  const here = path.value[0];
  return (
    <>
      <a class="skip" href="#content" onClick={(e) => { e.preventDefault(); document.querySelector<HTMLElement>("main h1")?.focus(); }}>
        {t("skip")}
      </a>
      <aside>
        <a class="brand" href={to("functions")}>
          <img src={icon} alt="" width="28" height="28" />
          Drover
        </a>
        <nav aria-label={t("sections")}>
          {sections.map(([section, key, icon]) => (
            <a key={section} href={to(section)} aria-current={here === section ? "page" : undefined}>
              <svg viewBox="0 0 24 24" aria-hidden="true">
                <path d={icon} />
              </svg>
              <span>{t(key)}</span>
            </a>
          ))}
        </nav>
        <footer>
          <p class={`pulse ${link.value}`}>
            <i aria-hidden="true" />
            {link.value === "open" ? t("connected") : link.value === "connecting" ? t("connecting") : "–"}
            {picture.value && <span> · {picture.value.version}</span>}
          </p>
          <Preferences />
        </footer>
      </aside>
      <main id="content">
        <LinkState />
        <Page />
      </main>
    </>
  );
}

follow();
render(alone ? <Simple name={alone} /> : <Console />, document.getElementById("app")!);
