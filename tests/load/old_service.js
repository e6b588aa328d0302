// What the load test of the service before this one asked, and what it wanted: moving over must not break it.

import http from 'k6/http';
import { check, group } from 'k6';

const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:3000';
// People that nobody knows.
const USERS = [1, 2, 3, 4, 5].map((number) => `${number}0000000-0000-4000-8000-000000000000`);
const TYPES = [
  'mood_state',
  'relapse_risk',
  'suicidality_risk',
  'medication_adherence_risk',
  'sleep_disturbance_risk',
];
const WINDOWS = [1, 3, 7, 14, 30];

export const options = {
  vus: Number(__ENV.VUS || 10),
  duration: __ENV.DURATION || '30s',
  thresholds: Object.assign(
    { checks: ['rate==1'], http_req_failed: ['rate==0'] },
    __ENV.ANY_TIME ? {} : { http_req_duration: ['p(95)<2000'] },
  ),
};

const hasFive = {
  'status is 200': (r) => r.status === 200,
  'five predictions': (r) => Array.isArray(r.json('predictions')) && r.json('predictions').length === 5,
};

export default function () {
  const user = USERS[__ITER % USERS.length];
  const path = `${BASE_URL}/data/predictions/${user}`;
  group('home', () => {
    check(http.get(`${BASE_URL}/`), { 'home answers': (r) => r.status === 200 });
  });
  group('every prediction', () => {
    check(http.get(path), hasFive);
    check(http.get(`${path}?window_days=${WINDOWS[Math.floor(__ITER / USERS.length) % WINDOWS.length]}`), hasFive);
    check(http.get(`${path}?types=${TYPES.join(',')}`), hasFive);
  });
  group('some predictions', () => {
    check(http.get(`${path}?types=mood_state,relapse_risk&window_days=7`), {
      'status is 200': (r) => r.status === 200,
      'those that were asked for': (r) =>
        r.json('predictions').map((p) => p.type).join() === 'mood_state,relapse_risk',
    });
  });
}
