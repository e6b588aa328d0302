// The page, for three readers: the person, who sees how they have been and where help is; the clinician, who sees what is predicted, why and
// how sure; the developer, who sees what was asked and answered.
const HISTORY = [["hoursSlept", 12], ["depressedMood", 10], ["elevation", 10], ["energyLevel", 10], ["anxietyStress", 10], ["medicationAdherence", 1]];
const SLIDERS = [["hoursSlept", 14, 0.5], ["depressedMood", 10, 1], ["elevation", 10, 1], ["energyLevel", 10, 1], ["anxietyStress", 10, 1],
  ["medicationAdherence", 1, 1]];
const DAYS = 30;
// Check-ins that are "now", and by how much an answer must differ to be said to.
const [RECENT, DIFFERS] = [3, 1];

let home = { demo_people: [], auth_mode: "off", crisis_resources: [] };
let models = [];
// What is shown of a person: their predictions, check-ins (latest first), states by day, and how the sliders stand.
let shown = null;

const credentials = () => {
  const secret = byId("secret").value.trim();
  if (!secret) return {};
  return home.auth_mode === "api_key" ? { "x-api-key": secret } : { authorization: `Bearer ${secret}` };
};

// One request; errors are what the problem says.
async function ask(path, body) {
  const headers = { accept: "application/json", "accept-language": language, ...credentials() };
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
  return { path, content, took, headers: answer.headers, total: total ? Number(total[1]) : 0, cache: answer.headers.get("x-cache") ?? "" };
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
  byId("latest").textContent = say("asking");
  try {
    const [predictions, checkins] = await Promise.all([
      ask(`/data/predictions/${id}?window_days=${days}&explain=true&lang=${language}`),
      ask(`/data/check-ins/${id}?window_days=${DAYS}`),
    ]);
    const next = { days, predictions, checkins: checkins.content.checkins, states: {}, changed: {} };
    if (next.checkins.length) {
      // Ten check-ins a question are predicted, so three questions go back a month.
      const items = [0, 10, 20].map((from) => next.checkins.slice(from)).filter((some) => some.length)
        .map((some) => ({ checkins: some, types: ["mood_state"], window_days: days, limit_checkins: 10, as_of: some[0].checkin_date }));
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

const predictionsOf = () => shown?.predictions.content.predictions ?? [];

function showPerson() {
  const there = shown?.checkins.length > 0;
  showLatest(there);
  for (const id of ["history", "course"]) byId(id).hidden = !there;
  byId("what-if").hidden = !there || shown.stale;
  const lines = home.crisis_resources;
  for (const list of document.querySelectorAll(".lines")) list.replaceChildren(...lines.map((line) => make("li", {}, line)));
  for (const box of document.querySelectorAll(".help")) box.hidden = !lines.length;
  byId("cards").replaceChildren(...predictionsOf().map(card));
  showWords(there);
  showDeveloper();
  if (!there) return;
  const latest = dayOf(shown.checkins[0].checkin_date);
  byId("history-title").textContent = shown.stale ? say("historyTo", latest) : say("history");
  byId("what-if-title").textContent = say("whatIf", latest);
  byId("picture").replaceChildren(...picture(false));
  byId("multiples").replaceChildren(...picture(true));
  showTable();
  showSliders();
  compare();
}

// The first thing that is seen: from when all of it is.
function showLatest(there) {
  const line = byId("latest");
  if (!shown) return line.replaceChildren(byId("trouble").textContent ? "" : say("signInFirst"));
  if (!there) return line.replaceChildren(say("noCheckIns"));
  const latest = shown.checkins[0].checkin_date;
  const now = new Date();
  const ago = Math.round((Date.UTC(now.getFullYear(), now.getMonth(), now.getDate()) - Date.parse(latest)) / 864e5);
  // The service says what is too old.
  shown.stale = predictionsOf().some((one) => one.reason?.code === "stale");
  const when = ago <= 0 ? say("today") : ago === 1 ? say("yesterday") : say("daysAgo", number(ago, 0));
  line.replaceChildren(make("b", {}, say("latest", dayOf(latest))), ` · ${when}. `, shown.stale ? make("span", { class: "stale" }, say("stale")) : "");
}

const answersOf = (field, checkins) => checkins.map((checkin) => checkin[field]).filter((value) => value != null);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// A value in words: the end of the scale that it is near.
function inWords(field, value) {
  const [, low, high] = wordsOf(field);
  const { unit } = FIELDS[field];
  const [least, most] = unit === "hours" ? [6, 9.5] : [3.5, 6];
  const amount = number(value, 1) + (unit === "hours" ? " h" : pick([" of 10", " de 10"]));
  return [value < least ? low : value >= most ? high : say("middle"), amount];
}

function showWords(there) {
  const [now, before] = [shown?.checkins.slice(0, RECENT) ?? [], shown?.checkins.slice(RECENT) ?? []];
  byId("lead").textContent = !there ? (shown ? say("leadNone") : "") : now.length === 1 ? say("leadOne") : say("lead", now.length);
  const rows = HISTORY.map(([field]) => {
    const [recent, earlier] = [answersOf(field, now), answersOf(field, before)];
    if (!recent.length) return null;
    if (FIELDS[field].unit === "yes_no") {
      const yes = recent.filter((answer) => answer > 0).length;
      const days = say("answeredOn", yes, recent.length);
      return [field, ...(yes === recent.length ? [say("yes"), days] : yes ? [days, ""] : [say("no"), days]), ""];
    }
    const difference = earlier.length ? mean(recent) - mean(earlier) : null;
    const trend = difference == null ? "" : Math.abs(difference) < DIFFERS ? say("same") : say(difference > 0 ? "more" : "less");
    return [field, ...inWords(field, mean(recent)), trend];
  }).filter(Boolean);
  byId("words").replaceChildren(...rows.map(([field, word, amount, trend]) => make("div", {}, make("dt", {}, sentence(name(field))),
    make("dd", {}, make("b", {}, word), make("span", { class: "amount" }, amount), trend ? make("span", { class: "trend" }, trend) : null))));
  showTips(there, now);
}

function showTips(there, now) {
  // Of days long ago nothing is said as if it were so now.
  const about = (field, test) => !shown?.stale && answersOf(field, now).length > 0 && test(mean(answersOf(field, now)));
  const tips = [["tipStale", !there || shown.stale], ["tipSleep", about("hoursSlept", (hours) => hours < 6)],
    ["tipMedication", about("medicationAdherence", (share) => share < 1)], ["tipLow", about("depressedMood", (value) => value >= 6)],
    ["tipHigh", about("elevation", (value) => value >= 6)], ["tipAnxiety", about("anxietyStress", (value) => value >= 6)], ["tipRhythm", true], ["tipTeam", true]];
  byId("tips").replaceChildren(...tips.filter(([, fits]) => fits).map(([key]) => make("li", {}, say(key))));
}

const stateOf = (checkin) => shown.states[checkin.checkin_date];
const stateName = (checkin) => stateOf(checkin)?.display.label ?? say("unanswered");
const initial = (checkin) => (stateOf(checkin)?.probability == null ? "–" : stateName(checkin)[0].toUpperCase());

// Thirty days, a row a field and a bar a day; for a clinician with the predicted state below.
function picture(withStates) {
  const checkins = shown.checkins.toReversed();
  const last = Date.parse(checkins.at(-1).checkin_date);
  const place = (checkin) => DAYS - 1 - Math.round((last - Date.parse(checkin.checkin_date)) / 864e5);
  const inside = checkins.filter((checkin) => place(checkin) >= 0);
  const rows = HISTORY.map(([field, most]) => {
    const values = answersOf(field, inside);
    if (!values.length) return null;
    const told = (value) => (most === 1 ? say(value ? "yes" : "no") : number(value, 1));
    const bars = inside.filter((checkin) => checkin[field] != null).map((checkin) => {
      const height = most === 1 ? (checkin[field] ? 12 : 2) : Math.max(1.5, 40 * Math.min(checkin[field] / most, 1));
      return draw("rect", { class: checkin === inside.at(-1) ? "day now" : "day", x: 10 * place(checkin) + 1.5, y: (most === 1 ? 13 : 41) - height, width: 7, height },
        draw("title", {}, `${dayOf(checkin.checkin_date)}: ${told(checkin[field])}`));
    });
    const text = say("from", name(field), told(Math.min(...values)), told(Math.max(...values)), told(values.at(-1)));
    return make("div", { class: "row" }, make("span", {}, sentence(name(field)), make("small", {}, most === 1 ? "" : `0–${most}`)),
      draw("svg", { viewBox: `0 0 300 ${most === 1 ? 14 : 42}`, preserveAspectRatio: "none", class: most === 1 ? "flat" : "", role: "img", "aria-label": text },
        draw("line", { class: "axis", x1: 0, x2: 300, y1: most === 1 ? 13.5 : 41.5, y2: most === 1 ? 13.5 : 41.5 }), bars));
  });
  if (withStates) {
    const seen = new Map(inside.map((checkin) => [initial(checkin), stateName(checkin)]));
    byId("legend").textContent = say("legend", [...seen].map(([letter, words]) => `${letter} = ${words}`).join(", "));
    const letters = Array.from({ length: DAYS }, (_, at) => inside.find((checkin) => place(checkin) === at));
    rows.push(make("div", { class: "row" }, make("span", {}, say("state")), make("div", { class: "letters", "aria-hidden": "true" },
      letters.map((checkin) => make("span", {}, checkin ? initial(checkin) : "")))));
  }
  const first = new Date(last - (DAYS - 1) * 864e5).toISOString().slice(0, 10);
  rows.push(make("div", { class: "row ends" }, make("span"), make("div", {}, make("span", {}, dayOf(first, "short")), make("span", {}, dayOf(checkins.at(-1).checkin_date, "short")))));
  return rows.filter(Boolean);
}

function showTable() {
  const cell = (field, value) => (value == null ? "–" : FIELDS[field].unit === "yes_no" ? say(value ? "yes" : "no") : number(value, 1));
  tableOf(byId("days"), [say("day"), ...HISTORY.map(([field]) => name(field))],
    shown.checkins.map((checkin) => [dayOf(checkin.checkin_date, "short"), ...HISTORY.map(([field]) => cell(field, checkin[field]))]));
}

function bar(share, threshold, text) {
  const mark = threshold == null ? null : draw("line", { class: "tick", x1: 200 * threshold, x2: 200 * threshold, y1: 0, y2: 14 });
  return draw("svg", { class: "share", viewBox: "0 0 200 14", preserveAspectRatio: "none", role: "img", "aria-label": text },
    draw("rect", { class: "track", width: 200, height: 14 }), draw("rect", { class: "bar", width: 200 * share, height: 14 }), mark);
}

// One prediction: a line of what it is, how sure and how it was before, then why.
function card(prediction) {
  const { display, details, observed, reason, data } = prediction;
  const title = make("h3", {}, display.type);
  if (prediction.probability == null) {
    return make("article", { class: "prediction" }, title, make("p", { class: "level unknown" }, display.label), make("p", { class: "why" }, reason?.detail ?? ""),
      prediction.as_of ? make("p", { class: "facts" }, say("asOf", dayOf(prediction.as_of))) : null);
  }
  const classes = details.class_probs;
  const share = percent(prediction.probability);
  const happened = observed ? say(classes ? "observedPairs" : "observedOf", percent(observed.rate, 0), number(observed.n, 0)) : say("observedNone");
  const [from, until] = [prediction.as_of, prediction.valid_until].map((day) => dayOf(day));
  const facts = [from === until ? say("asOf", from) : say("until", from, until),
    say("data", data.checkins, data.days_covered, percent(data.answered, 0))];
  const bars = classes ? Object.entries(classes).map(([label, share]) => {
    const words = `${display.classes[label]} ${percent(share)}`;
    return make("div", { class: "class" }, words, bar(share, null, words));
  }) : [];
  return make("article", { class: "prediction" }, title,
    make("p", { class: "number" }, classes ? `${display.label} ` : "", make("b", {}, share), make("span", { class: `level ${prediction.risk_level}` }, `${say("risk")}: ${display.risk_level}`)),
    make("div", { class: prediction.risk_level }, bar(prediction.probability, details.decision_threshold,
      details.decision_threshold == null ? share : `${share}, ${say("threshold")} ${percent(details.decision_threshold)}`)),
    make("p", { class: "observed" }, make("span", {}, `${say("observed")}: `), happened),
    make("p", { class: "why" }, prediction.explanation ?? ""),
    make("p", { class: "facts" }, facts.join(" · ")),
    disclosure(say("contributions"), prediction.disclaimer ? make("p", {}, prediction.disclaimer) : null, bars, impacts(prediction.contributions ?? [])));
}

function impacts(contributions) {
  const top = contributions.slice(0, 8);
  const most = Math.abs(top[0]?.impact ?? 1);
  return make("ol", { class: "impacts" }, top.map(({ feature, value, impact }) => {
    const width = 95 * Math.abs(impact) / most;
    const direction = say(impact > 0 ? "raises" : "lowers");
    return make("li", {}, `${name(feature)}: ${value == null ? say("missing") : number(value)} (${direction} ${number(Math.abs(impact))})`,
      draw("svg", { class: "impact", viewBox: "0 0 200 8", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("line", { class: "axis", x1: 100, x2: 100, y1: 0, y2: 8 }),
        draw("rect", { class: impact > 0 ? "more" : "less", x: impact > 0 ? 100 : 100 - width, width, height: 8 })));
  }));
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
    return make("label", { for: slider.id }, sentence(name(field)), ": ", output, slider);
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
      return { checkins: [latest, ...shown.checkins.slice(1)], window_days: shown.days, as_of: latest.checkin_date };
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
  const before = predictionsOf();
  const words = ({ probability, display, details }) => (probability == null ? display.label : details.class_probs ? `${display.label} ${percent(probability)}` : percent(probability));
  tableOf(byId("compared"), [say("type"), say("before"), say("now"), say("probability")], before.map((old, at) => {
    const next = now?.[at] ?? old;
    return [old.display.type, words(old), `${words(next)} (${next.display.risk_level})`,
      make("div", { class: next.risk_level }, bar(next.probability ?? 0, old.probability, `${say("before")} ${words(old)}, ${say("now")} ${words(next)}`))];
  }));
}

function showDeveloper() {
  const asked = shown?.predictions;
  const headers = Object.keys(credentials()).map((header) => ` \\\n  -H '${header}: …'`).join("");
  byId("curl").textContent = asked ? `curl '${location.origin}${asked.path}'${headers}` : "";
  byId("call").textContent = asked ? say("took", number(asked.took, 1), number(asked.total, 2), asked.cache) : "";
  const names = ["x-cache", "server-timing", "content-language", "x-request-id", "ratelimit-remaining"];
  tableOf(byId("headers"), [say("header"), say("value")], names.filter((one) => asked?.headers.get(one)).map((one) => [one, make("code", {}, asked.headers.get(one))]));
  byId("raw").textContent = asked ? JSON.stringify(asked.content, null, 2) : "";
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
    ["features", number(model.features.length, 0)], ["licence", model.licence]];
  // The card's own sentences are in English.
  const said = [["training", model.training?.data ?? "–"], ["warnings", (model.warnings ?? []).join(" ")]];
  const list = make("dl", {}, facts.map(([key, value]) => [make("dt", {}, say(key)), make("dd", {}, value)]),
    said.map(([key, value]) => [make("dt", {}, say(key)), make("dd", { lang: "en" }, value)]));
  const quality = model.quality;
  const parts = [make("h3", {}, model.display?.[language]?.name ?? model.title), list];
  if (!quality) parts.push(make("p", {}, say("noQuality")));
  else {
    const measures = [["auroc", "auroc"], ["brier", "brier"], ["calibrationError", "calibration_error"]];
    const compared = tableOf(make("table"), [say("measure"), say("ofModel"), say("ofRule")],
      measures.map(([key, field]) => [say(key), number(quality.model[field], 3), number(quality.heuristic[field], 3)]),
      say("quality", number(quality.people, 0), number(quality.rows, 0)));
    const labels = quality.confusion_labels.map((label) => model.display?.[language]?.labels[label] ?? label.replaceAll("_", " "));
    const confusion = tableOf(make("table"), [`${say("observed")} ↓ ${say("predicted")} →`, ...labels], quality.confusion.map((row, at) => [labels[at], ...row.map((count) => number(count, 0))]), say("confusion"));
    parts.push(make("div", { class: "columns" }, scrolled(say("measure"), compared, confusion),
      calibration(quality.calibration ?? [])), groups(quality.groups ?? []));
  }
  place.replaceChildren(...parts, attributes(model.source_attributes ?? {}));
}

function groups(all) {
  if (!all.length) return "";
  const head = ["group", "rows", "observed", "predicted", "auroc", "brier", "calibrationError"].map((key) => say(key));
  // Not every kind of model has every measure.
  const known = (measure, words) => (measure == null ? "–" : words(measure));
  const rows = all.map((one) => [make("span", { lang: "en" }, `${one.group}: ${one.value}`), number(one.rows, 0), ...[one.observed, one.predicted].map((share) => known(share, percent)),
    ...[one.auroc, one.brier, one.calibration_error].map((measure) => known(measure, (value) => number(value, 3)))]);
  return disclosure(say("groups"), scrolled(say("groups"), tableOf(make("table"), head, rows)));
}

// The card's own sentences, which are in English.
function attributes(own) {
  const said = Object.entries(ATTRIBUTES).filter(([key]) => own[key]);
  if (!said.length) return "";
  const list = said.map(([key, names]) => [make("dt", {}, pick(names)), make("dd", { lang: "en" }, own[key])]);
  return disclosure(say("attributes"), make("dl", {}, list));
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
    disclosure(say("table"), tableOf(make("table"), [say("predicted"), say("observed"), say("rows")],
      bins.map((bin) => [percent(bin.predicted), percent(bin.observed), number(bin.rows, 0)]))));
}

// Texts that stand in the page; what is made of answers is asked for anew, in the other language.
function translate(to) {
  language = to;
  document.documentElement.lang = to;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", button.dataset.language === to);
  if (home.auth_mode === "api_key") byId("secret-name").textContent = say("key");
  for (const option of byId("people").options) option.textContent = say("demo", pick(STATES[option.dataset.state] ?? [option.dataset.state, option.dataset.state]));
  for (const model of models) byId("model").namedItem(`model-${model.name}`).textContent = model.display?.[language]?.name ?? model.title;
}

async function showModels() {
  models = (await ask("/models").catch(() => ({ content: { models: [] } }))).content.models;
  byId("warnings").textContent = [...new Set(models.flatMap((model) => model.warnings))].join(" ");
  byId("model").replaceChildren(...models.map((model) => make("option", { value: model.name, id: `model-${model.name}` })));
  translate(language);
  await showModel();
}

// One of the three views, by the address.
function view() {
  const views = ["me", "clinician", "developer"];
  const chosen = views.includes(location.hash.slice(1)) ? location.hash.slice(1) : document.querySelector("section.view:not([hidden])")?.id ?? "me";
  for (const id of views) byId(id).hidden = id !== chosen;
  byId("windows").hidden = chosen === "me";
  for (const link of document.querySelectorAll(".views a")) {
    if (link.getAttribute("href") === `#${chosen}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (location.hash !== "#main") scrollTo(0, 0);
}

async function start() {
  addEventListener("hashchange", view);
  view();
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
  for (const button of document.querySelectorAll("[data-language]")) button.addEventListener("click", () => {
    translate(button.dataset.language);
    showModel();
    if (shown) predict();
    else showPerson();
  });
  home = (await ask("/")).content;
  byId("people").replaceChildren(...home.demo_people.map((one) => make("option", { value: one.user_id, "data-state": one.state })));
  byId("demo").hidden = !home.demo_people.length;
  byId("sign-in").hidden = home.demo_people.length > 0 && home.auth_mode === "off";
  // Somebody in a state, rather than the first, who is well.
  if (home.demo_people.length > 2) byId("people").selectedIndex = 2;
  translate(navigator.languages.some((one) => one.toLowerCase().startsWith("pt")) ? "pt-BR" : "en");
  showPerson();
  await Promise.all([home.demo_people.length && home.auth_mode === "off" ? predict() : null, showModels()]);
}

start().catch((error) => {
  byId("trouble").textContent = error.message;
});
