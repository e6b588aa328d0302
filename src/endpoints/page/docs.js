"use strict";
// Renders the description of what can be asked, each operation with a form to ask it.
let description;

const resolve = (part) => (part?.$ref ? part.$ref.slice(2).split("/").reduce((at, key) => at[key], description) : part);
const link = (ref) => make("a", { href: `#${ref.split("/").at(-1)}` }, ref.split("/").at(-1));

// A type in a few words, with a link where it is described elsewhere.
function type(schema) {
  if (!schema) return "";
  if (schema.$ref) return link(schema.$ref);
  const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (choices) return choices.flatMap((choice, at) => [at ? " or " : "", type(choice)]);
  if (schema.items) return ["array of ", type(schema.items)];
  const words = [[schema.type].flat().filter(Boolean).join(" or "), schema.format];
  if (schema.enum) words.push(schema.enum.map((value) => JSON.stringify(value)).join(", "));
  if ("const" in schema) words.push(JSON.stringify(schema.const));
  if (schema.minimum != null || schema.maximum != null) words.push(`${schema.minimum ?? ""}..${schema.maximum ?? ""}`);
  if (schema.default != null) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.filter(Boolean).join(", ");
}

function properties(schema) {
  const own = Object.entries(schema.properties ?? {});
  if (!own.length) return make("p", {}, type(schema));
  const rows = own.map(([name, property]) => [make("code", {}, name), (schema.required ?? []).includes(name) ? "yes" : "",
    make("div", {}, type(property), property.properties ? properties(property) : null), property.description ?? ""]);
  return scrolled("Fields", tableOf(make("table"), ["field", "required", "type", "meaning"], rows));
}

function content(of) {
  return Object.entries(of?.content ?? {}).flatMap(([media, { schema, example, examples }]) => {
    const samples = example === undefined ? Object.values(examples ?? {}).map((one) => resolve(one).value) : [example];
    const shown = samples.map((sample) => make("pre", { tabindex: 0 }, typeof sample === "string" ? sample : JSON.stringify(sample, null, 2)));
    return [make("p", {}, make("code", {}, media), ": ", type(schema)), schema?.properties ? properties(schema) : null, ...shown];
  });
}

function operation(path, method, described) {
  const parts = [make("p", {}, described.description ?? described.summary), attempt(path, method, described)];
  const parameters = (described.parameters ?? []).map(resolve);
  if (parameters.length) {
    parts.push(scrolled("Parameters", tableOf(make("table"), ["parameter", "in", "type", "meaning"],
      parameters.map((one) => [make("code", {}, one.name), one.in + (one.required ? ", required" : ""), make("div", {}, type(one.schema)), one.description ?? ""]))));
  }
  const body = resolve(described.requestBody);
  if (body) parts.push(make("h3", {}, "Request body"), ...content(body));
  parts.push(make("h3", {}, "Answers"));
  for (const [status, given] of Object.entries(described.responses)) {
    const answer = resolve(given);
    parts.push(make("p", {}, make("b", {}, status), ` ${answer.description}`), ...(status.startsWith("2") ? content(answer) : []));
  }
  return make("details", { id: described.operationId }, make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path), ` ${described.summary ?? ""}`), parts);
}

// A value that a schema, or its example, has.
const exampleOf = (content) => content?.example ?? (content?.examples ? resolve(Object.values(content.examples)[0]).value : undefined);

// A form that asks one operation, with the command that does the same, and its answer.
function attempt(path, method, described) {
  const inputs = (described.parameters ?? []).map(resolve).map((one) => {
    const schema = resolve(one.schema);
    const id = `${described.operationId}-${one.name}`;
    const value = one.example ?? "";
    const input = schema.enum && schema.type !== "array"
      ? make("select", { id }, one.required ? null : make("option", { value: "" }, "–"), schema.enum.map((choice) => make("option", {}, String(choice))))
      : make("input", { id, value: one.in === "path" ? value : "", placeholder: schema.default ?? value, autocomplete: "off", spellcheck: "false" });
    return { ...one, input, label: make("label", {}, make("span", {}, `${one.name} (${one.in})`), input) };
  });
  const [media, content] = Object.entries(resolve(described.requestBody)?.content ?? {})[0] ?? [];
  const body = media ? make("textarea", { id: `${described.operationId}-body`, spellcheck: "false" }, JSON.stringify(exampleOf(content) ?? {}, null, 1)) : null;
  const [line, status, shown] = [make("pre", { tabindex: 0, "aria-label": "Command" }), make("p", { class: "call", role: "status" }), make("pre", { tabindex: 0, class: "raw", "aria-label": "Answer", hidden: true })];

  function question() {
    const [query, headers] = [new URLSearchParams(), {}];
    let to = path;
    for (const { name, in: place, input } of inputs) {
      if (place === "path") to = to.replace(`{${name}}`, encodeURIComponent(input.value));
      else if (input.value && place === "query") query.append(name, input.value);
      else if (input.value) headers[name] = input.value;
    }
    if (body) headers["content-type"] = media;
    const secret = byId("secret").value.trim();
    if (secret) Object.assign(headers, byId("kind").value === "bearer" ? { authorization: `Bearer ${secret}` } : { [byId("kind").value]: secret });
    return { url: to + (query.size ? `?${query}` : ""), headers };
  }
  // The secret is not shown: whoever copies the line puts in their own.
  const isSecret = (name) => ["authorization", "x-api-key", "x-webhook-secret"].includes(name);
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  function show() {
    const { url, headers } = question();
    const parts = [`curl${method === "get" ? "" : ` -X ${method.toUpperCase()}`} ${quoted(location.origin + url)}`,
      ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${isSecret(name) ? "…" : value}`)}`), ...(body ? [`--data ${quoted(body.value)}`] : [])];
    line.textContent = parts.join(" \\\n  ");
  }
  async function send(event) {
    event.preventDefault();
    show();
    const { url, headers } = question();
    status.textContent = "…";
    try {
      const begun = performance.now();
      const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value });
      const text = await answer.text();
      const kept = ["content-type", "x-cache", "server-timing", "retry-after", "location"].filter((name) => answer.headers.has(name));
      status.textContent = [`${answer.status} in ${(performance.now() - begun).toFixed(1)} ms`, ...kept.map((name) => `${name}: ${answer.headers.get(name)}`)].join(" · ");
      shown.textContent = answer.headers.get("content-type")?.includes("json") && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
      shown.hidden = !text;
    } catch (error) {
      status.textContent = error.message;
    }
  }
  byId("secret").addEventListener("input", show);
  byId("kind").addEventListener("change", show);
  show();
  return make("form", { class: "try", onsubmit: send, oninput: show }, make("h3", {}, "Try it"), inputs.length ? make("div", {}, inputs.map((one) => one.label)) : null,
    body ? make("label", { for: body.id }, make("span", {}, `Body (${media})`)) : null, body, line, make("button", {}, method === "delete" ? "Send: this deletes" : "Send"), status, shown);
}

async function start() {
  description = await (await fetch("/openapi.json", { headers: { accept: "application/json" } })).json();
  document.querySelector(".credentials").addEventListener("submit", (event) => event.preventDefault());
  byId("about").textContent = `${description.info.description} Version ${description.info.version}.`;
  const all = Object.entries(description.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, described]) => [path, method, described]));
  for (const tag of description.tags) {
    byId("operations").append(make("h2", { id: tag.name }, tag.name), make("p", {}, tag.description),
      ...all.filter(([, , described]) => described.tags.includes(tag.name)).map((one) => operation(...one)));
  }
  byId("operations").append(make("h2", { id: "schemas" }, "schemas"),
    ...Object.entries(description.components.schemas).map(([name, schema]) =>
      make("details", { id: name }, make("summary", {}, make("code", {}, name), ` ${schema.description ?? ""}`), properties(schema))));
  const open = () => {
    const chosen = byId(decodeURIComponent(location.hash.slice(1)));
    if (chosen?.tagName === "DETAILS") chosen.open = true;
    chosen?.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
}

start().catch((error) => {
  byId("trouble").textContent = error.message;
});
