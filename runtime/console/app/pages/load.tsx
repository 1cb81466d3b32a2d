// Load tests: commands to start one, and where to watch it.

import { useState } from "preact/hooks";
import { picture } from "../live";
import { Copy, Panel, Title } from "../parts";
import { to } from "../route";
import { t, tOf } from "../words";

const PRESETS = ["quick", "medium", "load", "stress"];

export function LoadTests() {
  const names = picture.value?.functions.map((fn) => fn.name) ?? [];
  const [chosen, setChosen] = useState("");
  const [address, setAddress] = useState("http://127.0.0.1:8089");
  const name = chosen || names[0] || "NAME";
  const url = /^https?:\/\/[^/]+/.test(address) ? URL.parse(address) : null;
  return (
    <>
      <Title text={t("loadTests")}>
        <select aria-label={t("function")} value={name} onChange={(e) => setChosen(e.currentTarget.value)}>
          {names.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </Title>
      <p class="lead">{t("loadIntro")}</p>
      <Panel>
        <ul class="presets">
          {PRESETS.map((preset) => {
            const command = `loadgen --preset ${preset} --web --gateway ${location.origin} ${name}`;
            return (
              <li key={preset}>
                <h2>{preset}</h2>
                <p class="dim">{tOf("preset", preset)}</p>
                <div class="command">
                  <code>{command}</code>
                  <Copy text={command} label={preset} />
                </div>
              </li>
            );
          })}
        </ul>
      </Panel>
      <Panel title={t("watch")}>
        <div class="watch">
          <label>
            <span>{t("watchHint")}</span>
            <input type="url" value={address} onInput={(e) => setAddress(e.currentTarget.value)} />
          </label>
          {url && (
            <a class="button go" href={url.href} target="_blank" rel="noreferrer">
              {t("openPage")}
            </a>
          )}
        </div>
        {!url && <p class="bad">{t("badAddress")}</p>}
        <p>
          <a href={to("live", name)}>{t("seenHere")}</a>
        </p>
      </Panel>
    </>
  );
}
