// Load on the predictions of a few people, with k6: README.md beside this file says how to run it and how to read it.
//
//   BASE_URL  the service, http://127.0.0.1:3000 by default
//   VUS       virtual users at the height of it, 10
//   DURATION  how long the height lasts, 30s
//   USERS     ids separated by commas; the demo people by default
//   TOKEN     an access token or, as KEY, an API key, where the service wants one
//   ANY_TIME  set where the machine has other work: however long answers take, they pass

import http from 'k6/http';
import { check } from 'k6';
import { Rate, Trend } from 'k6/metrics';

const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:3000';
const VUS = Number(__ENV.VUS || 10);
const USERS = (
  __ENV.USERS ||
  '11111111-1111-4111-8111-111111111111,22222222-2222-4222-8222-222222222222,33333333-3333-4333-8333-333333333333,44444444-4444-4444-8444-444444444444'
).split(',');
const HEADERS = Object.assign(
  {},
  __ENV.TOKEN ? { authorization: `Bearer ${__ENV.TOKEN}` } : {},
  __ENV.KEY ? { 'x-api-key': __ENV.KEY } : {},
);

const hits = new Rate('cache_hits');
const hitTime = new Trend('hit_duration', true);
const missTime = new Trend('miss_duration', true);
const postTime = new Trend('post_duration', true);

export const options = {
  stages: [
    { duration: '3s', target: VUS },
    { duration: __ENV.DURATION || '30s', target: VUS },
    { duration: '2s', target: 0 },
  ],
  thresholds: Object.assign(
    { checks: ['rate==1'], http_req_failed: ['rate==0'], cache_hits: ['rate>0.8'] },
    // Generous: a threshold is for what is broken, the table for what is slow.
    __ENV.ANY_TIME ? {} : { hit_duration: ['p(95)<100'], miss_duration: ['p(95)<250'], post_duration: ['p(95)<250'] },
  ),
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max', 'count'],
};

function isAnswer(response) {
  return check(response, {
    'status is 200': (r) => r.status === 200,
    'five predictions': (r) => r.json('predictions').length === 5,
    'each has a label and a risk level': (r) => r.json('predictions').every((p) => p.label && p.risk_level),
    'answered under its own id': (r) => Boolean(r.headers['X-Request-Id']),
  });
}

export default function () {
  const user = USERS[Math.floor(Math.random() * USERS.length)];
  // One in a hundred asks about a window that few others ask about.
  const window = Math.random() < 0.01 ? 1 + Math.floor(Math.random() * 30) : 3;
  const response = http.get(`${BASE_URL}/data/predictions/${user}?window_days=${window}`, {
    headers: HEADERS,
    tags: { name: 'GET /data/predictions/{user_id}' },
  });
  if (isAnswer(response)) {
    const hit = response.headers['X-Cache'] === 'HIT';
    hits.add(hit);
    (hit ? hitTime : missTime).add(response.timings.duration);
  }
  if (Math.random() < 0.1) {
    const days = [0, 1, 2, 3, 4].map((day) => ({
      checkin_date: new Date(Date.now() - (4 - day) * 86400000).toISOString().slice(0, 10),
      hoursSlept: 4 + Math.random() * 6,
      depressedMood: Math.floor(Math.random() * 11),
      energyLevel: Math.floor(Math.random() * 11),
      medicationAdherence: 1,
    }));
    const posted = http.post(`${BASE_URL}/data/predictions`, JSON.stringify({ checkins: days }), {
      headers: Object.assign({ 'content-type': 'application/json' }, HEADERS),
      tags: { name: 'POST /data/predictions' },
    });
    if (isAnswer(posted)) {
      postTime.add(posted.timings.duration);
    }
  }
}
