// Uses the types that openapi-typescript generates, with openapi-fetch: node script.ts URL. tsc checks it first.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

type Question = components["schemas"]["Question"];

function assert(holds: unknown, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

const baseUrl = process.argv[2];
const client = createClient<paths>({ baseUrl });
// As the description has lists: in one parameter, with commas. openapi-fetch repeats the parameter by default.
const withCommas = createClient<paths>({ baseUrl, querySerializer: { array: { style: "form", explode: false } } });
const path = { user_id: "33333333-3333-4333-8333-333333333333" };

for (const either of [client, withCommas]) {
  const { data, error } = await either.GET("/data/predictions/{user_id}", {
    params: { path, query: { types: ["mood_state", "relapse_risk"], window_days: 7, explain: "true" } },
  });
  assert(data && "predictions" in data, error);
  const [mood, relapse, ...others] = data.predictions;
  assert(mood?.label === "depression" && relapse?.type === "relapse_risk" && others.length === 0, data);
  assert(mood.contributions?.[0]?.feature, mood);
}

const fromReadme: Question = README_QUESTION;
const flat: Question = {
  checkins: [{ checkin_date: "2026-01-31", hoursSlept: 10.5, hasNapped: true, depressedMood: 9, id: "1" }],
  types: ["mood_state"],
  window_days: 7,
  explain: "none",
};
for (const body of [fromReadme, flat]) {
  const { data, error } = await client.POST("/data/predictions", { body });
  assert(data?.predictions.length === 1 && data.window_days === 7, error ?? data);
}

const wrong = await client.GET("/data/predictions/{user_id}", { params: { path, query: { window_days: 99 } } });
assert(wrong.error && "errors" in wrong.error && wrong.error.errors?.[0]?.field === "window_days", wrong);

const model = await client.GET("/v2/models/{name}", { params: { path: { name: "mood_state" } } });
const columns = model.data?.inputs[0]?.shape[1];
assert(columns, model);
const inferred = await client.POST("/v2/models/{name}/infer", {
  params: { path: { name: "mood_state" } },
  body: { inputs: [{ name: "input", shape: [1, columns], datatype: "FP64", data: Array(columns).fill(null) }] },
});
assert(inferred.data, inferred.error);

const receipt = await client.DELETE("/data/predictions/{user_id}", { params: { path } });
assert(receipt.data?.request_id === receipt.response.headers.get("x-request-id"), receipt.error);
