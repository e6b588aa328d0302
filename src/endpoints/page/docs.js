"use strict";
// Renders the description of what can be asked.
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
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Fields" }, tableOf(make("table"), ["field", "required", "type", "meaning"], rows));
}

function content(of) {
  return Object.entries(of?.content ?? {}).flatMap(([media, { schema, example, examples }]) => {
    const samples = example === undefined ? Object.values(examples ?? {}).map((one) => resolve(one).value) : [example];
    const shown = samples.map((sample) => make("pre", { tabindex: 0 }, typeof sample === "string" ? sample : JSON.stringify(sample, null, 2)));
    return [make("p", {}, make("code", {}, media), ": ", type(schema)), schema?.properties ? properties(schema) : null, ...shown];
  });
}

function operation(path, method, described) {
  const parts = [make("p", {}, described.description ?? described.summary)];
  const parameters = (described.parameters ?? []).map(resolve);
  if (parameters.length) {
    parts.push(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Parameters" }, tableOf(make("table"), ["parameter", "in", "type", "meaning"],
      parameters.map((one) => [make("code", {}, one.name), one.in + (one.required ? ", required" : ""), make("div", {}, type(one.schema)), one.description ?? ""]))));
  }
  const body = resolve(described.requestBody);
  if (body) parts.push(make("h4", {}, "Request body"), ...content(body));
  parts.push(make("h4", {}, "Answers"));
  for (const [status, given] of Object.entries(described.responses)) {
    const answer = resolve(given);
    parts.push(make("p", {}, make("b", {}, status), ` ${answer.description}`), ...(status.startsWith("2") ? content(answer) : []));
  }
  return make("details", { id: described.operationId }, make("summary", {}, make("span", { class: "method" }, method.toUpperCase()), make("code", {}, path), ` ${described.summary ?? ""}`), parts);
}

async function start() {
  description = await (await fetch("/openapi.json", { headers: { accept: "application/json" } })).json();
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
