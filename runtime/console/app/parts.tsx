// Small parts that several pages show.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { adminKey, functionKey } from "./api";
import { language, languages, speak, t } from "./words";
import { choose, chosenTheme, type Theme } from "./theme";
import type { Fn } from "./types";

/** The heading of a page. It takes the focus when the page is entered, so that a screen reader begins there. */
export function Title({ text, children }: { text: string; children?: ComponentChildren }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${text} · Drover`;
  }, [text]);
  useEffect(() => {
    if (document.activeElement !== document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <header class="title">
      <h1 ref={heading} tabIndex={-1}>
        {text}
      </h1>
      {children}
    </header>
  );
}

export function Panel({ title, children, extra, class: more = "" }: { title?: string; extra?: ComponentChildren; children: ComponentChildren; class?: string }) {
  return (
    <section class={`panel ${more}`}>
      {title && (
        <header>
          <h2>{title}</h2>
          {extra}
        </header>
      )}
      {children}
    </section>
  );
}

/** Says something that the person should know, in a way that screen readers speak. */
export const Notice = ({ tone, children }: { tone: "plain" | "wait" | "bad" | "good"; children: ComponentChildren }) => (
  <div class={`notice ${tone}`} role={tone === "bad" ? "alert" : "status"}>
    {children}
  </div>
);

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;

/** How a function is, in one word. */
export function stateOf(fn: Fn): { tone: string; word: string } {
  if (fn.trouble) return { tone: "bad", word: t("trouble") };
  if (fn.n_ready > 0) return { tone: "good", word: t("ready") };
  if ((fn.count ?? 0) > 0 || fn.n_instances > 0) return { tone: "wait", word: t("starting") };
  return { tone: "plain", word: t("idle") };
}

export const Badge = ({ tone, children }: { tone: string; children: ComponentChildren }) => (
  <span class={`badge ${tone}`}>{children}</span>
);

/** How much of a limit is used. */
export function Meter({ used, limit, text }: { used: number | null; limit: number | null; text: string }) {
  const share = used === null || !limit ? 0 : Math.min(used / limit, 1);
  return (
    <span class="meter">
      <span class="track" aria-hidden="true">
        <span class={share > 0.9 ? "full" : ""} style={{ width: `${share * 100}%` }} />
      </span>
      <span>{text}</span>
    </span>
  );
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class="small" onClick={copy} aria-label={`${t("copy")}: ${label}`}>
      <span aria-live="polite">{copied ? t("copied") : t("copy")}</span>
    </button>
  );
}

/** Asks for a key and keeps it in this tab. */
export function KeyForm({ kind }: { kind: "admin" | "function" }) {
  const [typed, setTyped] = useState("");
  const key = kind === "admin" ? adminKey : functionKey;
  const submit = (event: Event) => {
    event.preventDefault();
    key.value = typed.trim();
    setTyped("");
  };
  return (
    <form class="key" onSubmit={submit}>
      <label>
        <span>{t(kind === "admin" ? "adminKey" : "functionKey")}</span>
        <input type="password" autocomplete="off" value={typed} onInput={(e) => setTyped(e.currentTarget.value)} />
      </label>
      <button class="go" disabled={!typed.trim()}>
        {t("unlock")}
      </button>
    </form>
  );
}

/** Language, colours, and keys to forget. */
export function Preferences() {
  const themes: [Theme, string][] = [["system", t("system")], ["light", t("light")], ["dark", t("dark")]];
  return (
    <div class="preferences">
      <select aria-label={t("language")} value={language.value} onChange={(e) => speak(e.currentTarget.value as typeof language.value)}>
        {languages.map(([tag, name]) => (
          <option key={tag} value={tag} lang={tag}>
            {name}
          </option>
        ))}
      </select>
      <select aria-label={t("theme")} value={chosenTheme.value} onChange={(e) => choose(e.currentTarget.value as Theme)}>
        {themes.map(([name, text]) => (
          <option key={name} value={name}>
            {text}
          </option>
        ))}
      </select>
      {(adminKey.value || functionKey.value) && (
        <button type="button" class="small" onClick={() => (adminKey.value = functionKey.value = "")}>
          {t("forget")}
        </button>
      )}
    </div>
  );
}
