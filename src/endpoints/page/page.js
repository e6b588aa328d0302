// The page: predictions about a person, their history, what if, and the models.
const HISTORY = [["hoursSlept", 14], ["depressedMood", 10], ["elevation", 10], ["energyLevel", 10], ["anxietyStress", 10]];
const SLIDERS = [["hoursSlept", 14, 0.5], ["depressedMood", 10, 1], ["elevation", 10, 1], ["energyLevel", 10, 1], ["anxietyStress", 10, 1],
  ["medicationAdherence", 1, 1]];
const DAYS = 30;

let home = { demo_people: [], auth_mode: "off" };
let models = [];
// What is shown of a person: their predictions, check-ins (latest first), states by day, and how the sliders stand.
let shown = null;

// One request; errors are what the problem says.
async function ask(path, body) {
  const headers = { accept: "application/json" };
  const secret = byId("secret").value.trim();
  if (secret && home.auth_mode === "api_key") headers["x-api-key"] = secret;
  else if (secret) headers.authorization = `Bearer ${secret}`;
  if (body) headers["content-type"] = "application/json";
  const start = performance.now();
  let answer;
  try {
    answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error(say("failed"));
  }
  const content = await answer.json();
  const took = performance.now() - start;
  if (!answer.ok) {
    const fields = (content.errors ?? []).map((error) => `${error.field} ${error.message}`).join("; ");
    throw Object.assign(new Error(`${content.title ?? ""} ${fields || content.detail || content.error || answer.status}`.trim()), { status: answer.status });
  }
  const total = /total;dur=([\d.]+)/.exec(answer.headers.get("server-timing") ?? "");
  return { content, took, total: total ? Number(total[1]) : 0, cache: answer.headers.get("x-cache") ?? "" };
}

function person() {
  if (home.demo_people.length) return byId("people").value;
  const given = byId("id").value.trim();
  if (given || home.auth_mode !== "jwt") return given;
  try {
    // The token's own person; the service checks it, this only reads it.
    return JSON.parse(atob(byId("secret").value.trim().split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub ?? "";
  } catch {
    return "";
  }
}

let turn = 0;
async function predict() {
  const own = ++turn;
  const [id, days] = [encodeURIComponent(person() || "-"), Number(byId("window").value)];
  byId("trouble").textContent = "";
  byId("call").textContent = say("asking");
  try {
    const [predictions, checkins] = await Promise.all([
      ask(`/data/predictions/${id}?window_days=${days}&explain=true`),
      ask(`/data/check-ins/${id}?window_days=${DAYS}`),
    ]);
    const next = { days, predictions, checkins: checkins.content.checkins, states: {}, changed: {} };
    if (next.checkins.length) {
      // Ten check-ins a question are predicted, so three questions go back a month.
      const items = [0, 10, 20].map((from) => next.checkins.slice(from)).filter((some) => some.length)
        .map((some) => ({ checkins: some, types: ["mood_state"], window_days: days, limit_checkins: 10 }));
      for (const item of (await ask("/data/predictions/batch", { items })).content) {
        for (const checkin of item.per_checkin ?? []) next.states[checkin.checkin_date] = checkin.predictions[0];
      }
    }
    if (own !== turn) return;
    shown = next;
  } catch (error) {
    if (own !== turn) return;
    shown = null;
    byId("trouble").textContent = error.message;
  }
  curves.clear();
  showPerson();
}

function showPerson() {
  const there = shown?.checkins.length > 0;
  byId("call").textContent = shown
    ? say("took", number(shown.predictions.took, 1), number(shown.predictions.total, 2), shown.predictions.cache) : "";
  byId("history").hidden = byId("what-if").hidden = !there;
  byId("cards").replaceChildren(...(shown?.predictions.content.predictions ?? []).map(card));
  showHelp();
  if (!there) return;
  showHistory();
  showSliders();
  compare();
}

// The crisis lines come before every number.
function showHelp() {
  const sensitive = shown?.predictions.content.predictions.find((prediction) => prediction.sensitive);
  byId("help").hidden = !sensitive;
  byId("help").replaceChildren(make("p", {}, say("crisis")), make("ul", {}, (sensitive?.resources ?? []).map((line) => make("li", {}, line))));
}

function bar(share, threshold, text) {
  const mark = threshold == null ? null : draw("line", { class: "tick", x1: 200 * threshold, x2: 200 * threshold, y1: 0, y2: 14 });
  return draw("svg", { class: "share", viewBox: "0 0 200 14", preserveAspectRatio: "none", role: "img", "aria-label": text },
    draw("rect", { class: "track", width: 200, height: 14, rx: 3 }), draw("rect", { class: "bar", width: 200 * share, height: 14, rx: 3 }), mark);
}

function card(prediction) {
  const title = [make("h3", {}, name(prediction.type))];
  if (prediction.sensitive) {
    title.push(make("p", {}, (prediction.resources ?? []).join(" · ")), make("p", {}, say("disclaimer")));
  }
  const level = prediction.risk_level;
  if (prediction.probability == null) {
    const missing = (prediction.reason?.missing ?? []).map(name).join(", ");
    return make("article", { class: "card" }, title, make("p", { class: "level unknown" }, name(prediction.label)),
      make("p", {}, missing ? say("insufficient", missing) : shown.checkins.length ? prediction.reason?.detail : say("noCheckIns")));
  }
  const classes = prediction.details.class_probs;
  const bars = classes
    ? Object.entries(classes).map(([label, share]) => make("div", {}, `${name(label)}: ${percent(share)}`, bar(share, null, `${name(label)} ${percent(share)}`)))
    : [bar(prediction.probability, prediction.details.decision_threshold,
        `${percent(prediction.probability)}, ${say("threshold")} ${percent(prediction.details.decision_threshold)}`)];
  return make("article", { class: "card" }, title,
    make("p", {}, classes ? `${name(prediction.label)}, ${percent(prediction.probability)}` : percent(prediction.probability)),
    make("p", { class: `level ${level}` }, `${say("risk")}: ${name(level)}`), make("div", { class: level }, bars),
    make("p", {}, prediction.valid_until === prediction.as_of ? say("asOf", prediction.as_of) : say("asOfUntil", prediction.as_of, prediction.valid_until)),
    make("details", { open: true }, make("summary", {}, say("contributions")), impacts(prediction.contributions ?? [])));
}

function impacts(contributions) {
  const top = contributions.slice(0, 6);
  const most = Math.abs(top[0]?.impact ?? 1);
  return make("ol", { class: "impacts" }, top.map(({ feature, value, impact }) => {
    const width = 95 * Math.abs(impact) / most;
    const direction = say(impact > 0 ? "raises" : "lowers");
    return make("li", {}, `${name(feature)}: ${value == null ? say("missing") : number(value)} (${direction} ${number(Math.abs(impact))})`,
      draw("svg", { class: "impact", viewBox: "0 0 200 8", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("line", { class: "axis", x1: 100, x2: 100, y1: 0, y2: 8 }),
        draw("rect", { class: impact > 0 ? "more" : "less", x: impact > 0 ? 100 : 100 - width, width, height: 8 })));
  }));
}

const initial = (label) => (label ? name(label)[0].toUpperCase() : "–");

function showHistory() {
  const checkins = shown.checkins.toReversed();
  const last = Date.parse(checkins.at(-1).checkin_date);
  const place = (checkin) => 8 + 584 * (1 - (last - Date.parse(checkin.checkin_date)) / 864e5 / DAYS);
  const stateOf = (checkin) => shown.states[checkin.checkin_date]?.label;
  const seen = [...new Set(checkins.map(stateOf))].map((label) => `${initial(label)} = ${label ? name(label) : say("unanswered")}`);
  byId("legend").textContent = say("legend", seen.join(", "));
  byId("multiples").replaceChildren(...HISTORY.map(([field, most]) => {
    const points = checkins.filter((checkin) => checkin[field] != null).map((checkin) => [place(checkin), 46 - 42 * Math.min(checkin[field] / most, 1), checkin]);
    const states = checkins.map((checkin) => draw("text", { x: place(checkin), y: 60, "text-anchor": "middle" }, initial(stateOf(checkin))));
    const dots = points.map(([x, y, checkin]) => draw("circle", { class: "dot", cx: x, cy: y, r: 2.5 },
      draw("title", {}, `${checkin.checkin_date}: ${number(checkin[field])}, ${stateOf(checkin) ? name(stateOf(checkin)) : say("unanswered")}`)));
    const values = points.map(([, , checkin]) => checkin[field]);
    const text = values.length ? `${name(field)}: ${number(Math.min(...values))}–${number(Math.max(...values))}` : name(field);
    return make("div", { class: "multiple" }, make("span", {}, `${name(field)} (0–${most})`),
      draw("svg", { viewBox: "0 0 600 64", role: "img", "aria-label": text }, draw("line", { class: "axis", x1: 0, x2: 600, y1: 47, y2: 47 }),
        draw("polyline", { class: "curve", points: points.map(([x, y]) => `${x},${y}`).join(" ") }), dots, states));
  }));
  tableOf(byId("days"), [say("day"), ...HISTORY.map(([field]) => name(field)), say("state")], checkins.toReversed().map((checkin) =>
    [checkin.checkin_date, ...HISTORY.map(([field]) => (checkin[field] == null ? "–" : number(checkin[field]))),
      stateOf(checkin) ? name(stateOf(checkin)) : "–"]));
}

const valueOf = (field) => shown.changed[field] ?? shown.checkins[0][field];

function showSliders() {
  byId("sliders").replaceChildren(...SLIDERS.map(([field, most, step]) => {
    const answer = valueOf(field);
    const told = (value) => (value == null ? say("missing") : most === 1 ? say(value ? "yes" : "no") : number(value));
    const output = make("output", {}, told(answer));
    const slider = make("input", { type: "range", id: `slide-${field}`, min: 0, max: most, step, value: answer ?? most / 2, "aria-valuetext": told(answer),
      oninput: () => {
        shown.changed[field] = Number(slider.value);
        output.textContent = told(shown.changed[field]);
        slider.setAttribute("aria-valuetext", output.textContent);
        explore(field);
      } });
    // Without `for` the label would be the output's, which is the first that a label can have.
    return make("label", { for: slider.id }, name(field), ": ", output, slider);
  }));
  byId("what-if-call").textContent = "";
}

// Predictions at every place of one slider, by what the others say: one question, so that a drag is answered as fast as it goes.
const curves = new Map();

async function explore(field) {
  const [own, [, most, step]] = [shown, SLIDERS.find(([name]) => name === field)];
  const others = { ...shown.changed };
  delete others[field];
  const key = JSON.stringify([field, Object.entries(others).sort()]);
  if (!curves.has(key)) {
    const values = Array.from({ length: most / step + 1 }, (_, at) => at * step);
    const items = values.map((value) => {
      const latest = { ...shown.checkins[0], ...others, [field]: value };
      return { checkins: [latest, ...shown.checkins.slice(1)], window_days: shown.days };
    });
    curves.set(key, ask("/data/predictions/batch", { items }).then((answer) => {
      byId("what-if-call").textContent = say("compared", items.length, number(answer.took, 1), number(answer.total, 2));
      return new Map(values.map((value, at) => [value, answer.content[at].predictions]));
    }));
    curves.get(key).catch((error) => {
      curves.delete(key);
      byId("trouble").textContent = error.message;
    });
  }
  try {
    const predictions = (await curves.get(key)).get(shown?.changed[field]);
    if (own === shown && predictions) compare(predictions);
  } catch { /* said above */ }
}

function compare(now) {
  const before = shown.predictions.content.predictions;
  const words = ({ probability, label, details }) => (probability == null ? name(label) : details.class_probs ? `${name(label)} ${percent(probability)}` : percent(probability));
  tableOf(byId("compared"), [say("type"), say("before"), say("now"), ""], before.map((old, at) => {
    const next = now?.[at] ?? old;
    return [name(old.type), words(old), `${words(next)} (${name(next.risk_level)})`,
      make("div", { class: next.risk_level }, bar(next.probability ?? 0, old.probability, `${say("before")} ${words(old)}, ${say("now")} ${words(next)}`))];
  }));
}

async function showModel() {
  const place = byId("card");
  if (!models.length) return place.replaceChildren(say("signIn"));
  const chosen = byId("model").value;
  let model;
  try {
    model = (await ask(`/models/${encodeURIComponent(chosen)}`)).content;
  } catch (error) {
    return place.replaceChildren(error.message);
  }
  if (chosen !== byId("model").value) return;
  const facts = [["version", model.version], ["library", model.format], ["trees", number(model.trees, 0)], ["nodes", number(model.nodes, 0)],
    ["features", number(model.features.length, 0)], ["data", model.training?.data ?? "–"], ["licence", model.licence],
    ["warnings", (model.warnings ?? []).join(" ")]];
  const list = make("dl", {}, facts.map(([key, value]) => [make("dt", {}, say(key)), make("dd", {}, value)]));
  const quality = model.quality;
  const parts = [make("h3", {}, model.title ?? name(model.name)), list];
  if (!quality) parts.push(make("p", {}, say("noQuality")));
  else {
    const measures = [["auroc", "auroc"], ["brier", "brier"], ["calibrationError", "calibration_error"]];
    const compared = tableOf(make("table"), [say("measure"), say("ofModel"), say("ofRule")],
      measures.map(([key, field]) => [say(key), number(quality.model[field], 3), number(quality.heuristic[field], 3)]),
      say("quality", number(quality.people, 0), number(quality.rows, 0)));
    const labels = quality.confusion_labels.map(name);
    const confusion = tableOf(make("table"), ["", ...labels], quality.confusion.map((row, at) => [labels[at], ...row.map((count) => number(count, 0))]), say("confusion"));
    parts.push(make("div", { class: "columns" }, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": say("measure") }, compared, confusion),
      calibration(quality.calibration ?? [])));
  }
  place.replaceChildren(...parts);
}

function calibration(bins) {
  if (!bins.length) return "";
  const at = (share) => 30 + 160 * share;
  const most = Math.max(...bins.map((bin) => bin.rows));
  const axes = [0, 0.5, 1].flatMap((share) => [draw("text", { x: at(share), y: 205, "text-anchor": "middle" }, number(share)),
    draw("text", { x: 24, y: 223 - at(share), "text-anchor": "end" }, number(share))]);
  const dots = bins.map((bin) => draw("circle", { class: "dot", cx: at(bin.predicted), cy: 220 - at(bin.observed), r: 3 + 5 * Math.sqrt(bin.rows / most) },
    draw("title", {}, `${say("predicted")} ${percent(bin.predicted)}, ${say("observed")} ${percent(bin.observed)}, ${number(bin.rows, 0)} ${say("rows")}`)));
  return make("figure", {}, make("figcaption", {}, say("calibration")),
    draw("svg", { viewBox: "0 0 200 210", width: 300, role: "img", "aria-label": say("calibration") }, axes,
      draw("line", { class: "axis", x1: at(0), y1: 220 - at(0), x2: at(1), y2: 220 - at(1) }), dots),
    make("details", {}, make("summary", {}, say("table")), tableOf(make("table"), [say("predicted"), say("observed"), say("rows")],
      bins.map((bin) => [percent(bin.predicted), percent(bin.observed), number(bin.rows, 0)]))));
}

// Texts that stand in the page, and what was made of the answers.
function translate(to) {
  language = to;
  document.documentElement.lang = to;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", button.dataset.language === to);
  if (home.auth_mode === "api_key") byId("secret-name").textContent = say("key");
  for (const option of byId("people").options) option.textContent = say("demo", name(option.dataset.state));
  for (const option of byId("model").options) option.textContent = name(option.value);
  showPerson();
  showModel();
}

async function showModels() {
  models = (await ask("/models").catch(() => ({ content: { models: [] } }))).content.models;
  byId("model").replaceChildren(...models.map((model) => make("option", { value: model.name }, name(model.name))));
  await showModel();
}

async function start() {
  byId("who").addEventListener("submit", (event) => {
    event.preventDefault();
    predict();
    if (!models.length) showModels();
  });
  byId("people").addEventListener("change", predict);
  byId("window").addEventListener("change", predict);
  byId("model").addEventListener("change", showModel);
  byId("reset").addEventListener("click", () => {
    shown.changed = {};
    showSliders();
    compare();
  });
  for (const button of document.querySelectorAll("[data-language]")) button.addEventListener("click", () => translate(button.dataset.language));
  home = (await ask("/")).content;
  byId("people").replaceChildren(...home.demo_people.map((one) => make("option", { value: one.user_id, "data-state": one.state })));
  byId("demo").hidden = !home.demo_people.length;
  byId("sign-in").hidden = home.demo_people.length > 0 && home.auth_mode === "off";
  // Somebody in a state, rather than the first, who is well.
  if (home.demo_people.length > 2) byId("people").selectedIndex = 2;
  translate(navigator.languages.some((one) => one.toLowerCase().startsWith("pt")) ? "pt-BR" : "en");
  await Promise.all([home.demo_people.length && home.auth_mode === "off" ? predict() : null, showModels()]);
}

start().catch((error) => {
  byId("trouble").textContent = error.message;
});
