// A request as code that works when pasted.

export type SnippetLanguage = "curl" | "Python" | "Rust";

/** Returns the request of `body` to `url` in each language; with a key, it stands in the variable `DROVER_KEY`. */
export function snippets(url: string, body: Record<string, unknown>, withKey: boolean): Record<SnippetLanguage, string> {
  const json = JSON.stringify(body, null, 2);
  const shell = `'${json.replaceAll("'", `'\\''`)}'`;
  // One more than follow any quote in it, so that none ends it.
  const hashes = "#".repeat(1 + Math.max(0, ...[...json.matchAll(/"(#*)/g)].map(([, found]) => found!.length)));
  return {
    curl: `curl -s ${url} \\\n  -H 'content-type: application/json' \\\n${withKey ? `  -H "authorization: Bearer $DROVER_KEY" \\\n` : ""}  -d ${shell}\n`,
    Python: `import json
${withKey ? "import os\n" : ""}import urllib.request

row = ${python(body)}
request = urllib.request.Request(
    ${JSON.stringify(url)},
    data=json.dumps(row).encode(),
    headers={"content-type": "application/json"${withKey ? `, "authorization": "Bearer " + os.environ["DROVER_KEY"]` : ""}},
)
with urllib.request.urlopen(request) as response:
    answer = json.load(response)
print(answer["prediction"], answer.get("confidence"))
`,
    Rust: `// cargo add ureq
fn main() -> Result<(), ureq::Error> {
    let row = r${hashes}"${json.replaceAll("\n", "\n    ")}"${hashes};
    let mut response = ureq::post(${JSON.stringify(url)})
        .header("content-type", "application/json")
${withKey ? `        .header("authorization", format!("Bearer {}", std::env::var("DROVER_KEY").unwrap_or_default()))\n` : ""}        .send(row)?;
    println!("{}", response.body_mut().read_to_string()?);
    Ok(())
}
`,
  };
}

/** Returns a row as Python writes it: texts and numbers are as in JSON. */
function python(row: Record<string, unknown>): string {
  const value = (of: unknown) => (of === true ? "True" : of === false ? "False" : JSON.stringify(of));
  const fields = Object.entries(row).map(([name, of]) => `    ${JSON.stringify(name)}: ${value(of)},\n`);
  return `{\n${fields.join("")}}`;
}
