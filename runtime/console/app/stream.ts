// Server-sent events, over a request that carries a key: EventSource takes none.

import { api } from "./api";

/** Yields the name and the value of each event at `path`, until the other side ends, or is silent for too long. */
export async function* events(path: string, stop: AbortSignal, silenceMs: number): AsyncGenerator<[string, unknown]> {
  const silence = new AbortController();
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), silenceMs);
  };
  heard();
  try {
    const response = await api(path, { signal: AbortSignal.any([stop, silence.signal]) });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop() ?? "";
      for (const part of parts) {
        const field = (name: string) => part.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
        const [name, data] = [field("event"), field("data")];
        if (name && data) yield [name, JSON.parse(data)];
      }
    }
  } finally {
    clearTimeout(timer);
  }
}
