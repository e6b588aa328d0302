#!/usr/bin/env bash
# Seeds the corpora in a folder, by default `corpus`, with one good example of everything that is parsed.
set -euo pipefail
cd "$(dirname "$0")"
corpus=${1:-corpus}
mkdir -p "$corpus"/{query,body,batch,rows,cache_entry,limits,token,inference,compressed,webhook,redis_reply,fhir}
person=11111111-1111-4111-8111-111111111111
checkin='{"checkin_date":"2031-01-31T21:15:00-03:00","user_id":"'$person'","hoursSlept":4.5,"mood_data":{"energyLevel":9,"elevation":"8"},"medicationAdherence":true,"sleep_data":null}'
body='{"checkins":['$checkin',{"checkin_date":"2031-01-30"}],"types":["mood_state"],"window_days":7,"limit_checkins":2,"explain":true,"user_id":"'$person'"}'
printf '%s' "$person?types=mood_state,relapse_risk&window_days=7&limit_checkins=3&explain=true" > "$corpus/query/all"
printf '%s' "/data/predictions/$person" > "$corpus/query/path"
printf '%s' "$body" > "$corpus/body/all"
printf '%s' '{"items":['"$body"',{"checkins":[]}]}' > "$corpus/batch/two"
printf '%s' '['"$checkin"']' > "$corpus/rows/one"
prediction='{"type":"mood_state","label":"x","probability":0.5}'
five="[$prediction,$prediction,$prediction,$prediction,$prediction]"
printf '%s' '{"key":"k","generation":"g","made_at":1,"expires_at":9000000000000,"generated_at":"2031-01-01T00:00:00Z","explained":true,"limit_checkins":1,"predictions":'"$five"',"per_checkin":[{"checkin_id":"1","checkin_date":"2031-01-01","predictions":'"$five"'}]}' > "$corpus/cache_entry/whole"
# A version, two limits, a pace, and one caller.
{ printf '\1'; head -c 36 /dev/zero; } > "$corpus/limits/empty"
row=$(printf '1.5,%.0s' $(seq 74))NaN
printf '%s' '{"id":"1","inputs":[{"name":"input","shape":[1,75],"datatype":"FP64","data":[['"$row"']]}],"outputs":[{"name":"margin"},{"name":"contributions","parameters":{"binary_data":true}}]}' > "$corpus/inference/json"
{ printf '%s' '{"inputs":[{"name":"input","shape":[1,75],"datatype":"FP32","parameters":{"binary_data_size":300}}],"parameters":{"binary_data_output":true}}'; head -c 300 /dev/zero; } > "$corpus/inference/binary"
# The first byte says how it is compressed.
{ printf 'g'; printf '%s' "$body" | gzip -nc; } > "$corpus/compressed/gzip"
{ printf 'd'; printf '%s' "$body" | python3 -c 'import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))'; } > "$corpus/compressed/deflate"
printf '%s' '{"type":"UPDATE","table":"check_ins","schema":"public","record":{"user_id":"'$person'"},"old_record":null}' > "$corpus/webhook/update"
# Tokens of an independent implementation with the keys that they are under.
python3 - "$corpus" <<'PYTHON'
import json, pathlib, sys
fixture = json.loads(pathlib.Path("../fixtures/access/tokens.json").read_text())
for name, token in fixture["tokens"].items():
    pathlib.Path(sys.argv[1], "token", name).write_bytes(token.encode() + b"\0" + json.dumps(fixture["key_set"]).encode())
PYTHON
# Two requests each: one that Redis answers honestly, and one whose replies are not; and honest ones alone.
# A byte says how a fhir input is read, five the question, and of each row two its day and its first answer.
python3 - "$corpus" <<'PYTHON'
import pathlib, sys
redis, fhir = pathlib.Path(sys.argv[1], "redis_reply"), pathlib.Path(sys.argv[1], "fhir")
for mode in (0, 3, 4):
    for request in range(14):
        first = bytes([mode, 5 if request == 7 else 0]) + bytes(8)
        (redis / f"honest_{mode}_{request}").write_bytes(first + bytes([request]) + bytes(8))
        for tampering in range(128, 136):
            replies = bytes([tampering, 1, 0, 2, 0, 3]) * 4
            (redis / f"tampered_{mode}_{request}_{tampering}").write_bytes(first + bytes([request]) + replies)
for question in range(12):
    rows = b"".join(bytes([4 * day, 3 * day, 34]) + bytes((37 * day + answer * 11) % 248 for answer in range(34)) for day in range(6))
    (fhir / f"rows_{question}").write_bytes(bytes([2 * (question % 2), 6, 3, question, question, question]) + rows)
(fhir / "raw").write_bytes(bytes([1, 6, 3, 0, 0, 0]) + pathlib.Path(sys.argv[1], "rows/one").read_bytes())
PYTHON
