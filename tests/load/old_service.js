// What the load test of the service before this one asked, and what it wanted: moving over must not break it.

import http from 'k6/http';
import { check, group } from 'k6';

const BASE_URL = __ENV.BASE_URL || 'http://127.0.0.1:3000';
const USER = __ENV.USER_ID || '33333333-3333-4333-8333-333333333333';

export const options = {
  vus: Number(__ENV.VUS || 5),
  duration: __ENV.DURATION || '15s',
  thresholds: { checks: ['rate==1'], http_req_duration: ['p(95)<2000'] },
};

export default function () {
  group('home', () => {
    check(http.get(`${BASE_URL}/`), { 'home answers': (r) => r.status === 200 });
  });
  group('every prediction', () => {
    const response = http.get(`${BASE_URL}/data/predictions/${USER}?window_days=7`);
    check(response, {
      'status is 200': (r) => r.status === 200,
      'an array of five': (r) => Array.isArray(r.json('predictions')) && r.json('predictions').length === 5,
    });
  });
  group('some predictions', () => {
    const response = http.get(`${BASE_URL}/data/predictions/${USER}?types=mood_state,relapse_risk&window_days=7`);
    check(response, {
      'status is 200': (r) => r.status === 200,
      'those that were asked for': (r) =>
        r.json('predictions').map((p) => p.type).join() === 'mood_state,relapse_risk',
    });
  });
}
