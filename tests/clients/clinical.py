"""Predictions as FHIR R4, read with fhir.resources (its R4B models, which R4's RiskAssessment is one of)."""

import json
import pathlib
import re
import sys
import urllib.error
import urllib.request

from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.riskassessment import RiskAssessment

ADDRESS = sys.argv[1]
DEPRESSED, NOBODY = "33333333-3333-4333-8333-333333333333", "55555555-5555-4555-8555-555555555555"
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def ask(path, accept="application/fhir+json", **headers):
    request = urllib.request.Request(f"http://{ADDRESS}{path}", headers={"accept": accept, **headers})
    try:
        answer = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        if headers.pop("x-wait", None) and answer.headers["x-cache"] != "HIT":
            return ask(path, accept, **headers, **{"x-wait": "1"})
        assert "accept" in answer.headers["vary"].split(", "), answer.headers["vary"]
        return answer.status, answer.headers["content-type"], answer.read()


def bundle(path, **headers):
    status, content_type, body = ask(path, **headers)
    assert (status, content_type) == (200, "application/fhir+json"), (status, content_type, body)
    read = Bundle.model_validate_json(body)
    # What is written out again is what was read: nothing was dropped.
    assert json.loads(read.model_dump_json(exclude_none=True)) == json.loads(body)
    assert read.type == "collection"
    for entry in read.entry:
        assert isinstance(entry.resource, RiskAssessment)
        assert entry.fullUrl == f"urn:uuid:{entry.resource.id}" == entry.resource.identifier[0].value
        assert entry.resource.mitigation is None
    return read, [entry.resource for entry in read.entry]


def plain(path):
    # The next answer out of the cache has the same ids.
    status, content_type, body = ask(path, accept="*/*", **{"x-wait": "1"})
    assert (status, content_type) == (200, "application/json")
    return json.loads(body)


expected = plain(f"/data/predictions/{DEPRESSED}")
read, assessments = bundle(f"/data/predictions/{DEPRESSED}")
name = lambda concept: concept.coding[0].code
assert [name(one.code) for one in assessments] == [one["type"] for one in expected["predictions"]]
for assessment, one in zip(assessments, expected["predictions"]):
    assert assessment.status == "final"
    assert assessment.id == one["decision_id"]
    assert assessment.subject.identifier.value == f"urn:uuid:{DEPRESSED}"
    assert one["model_version"] in assessment.method.text
    assert assessment.occurrenceDateTime.strftime("%Y-%m-%dT%H:%M:%SZ") == expected["generated_at"]
    first = assessment.prediction[0]
    assert first.rationale == one["explanation"]
    # FHIR's is in percent.
    assert abs(float(first.probabilityDecimal) - 100 * one["probability"]) < 1e-6, (first, one["probability"])
    assert assessment.code.text == one["display"]["type"]
    assert [first.whenPeriod.start.isoformat(), first.whenPeriod.end.isoformat()] == [one["as_of"], one["valid_until"]]
    notes = [note.text for note in assessment.note]
    assert any("synthetic" in note for note in notes)
    if "class_probs" in one["details"]:
        classes = {name(each.outcome): float(each.probabilityDecimal) / 100 for each in assessment.prediction}
        assert classes.keys() == one["details"]["class_probs"].keys() and name(first.outcome) == one["label"]
        assert all(abs(classes[each] - share) < 1e-8 for each, share in one["details"]["class_probs"].items())
        assert first.outcome.text == f"{one['display']['type']}: {one['display']['label']}"
    else:
        assert first.qualitativeRisk.text == one["display"]["risk_level"]
    if one.get("sensitive"):
        assert all(text in notes for text in [one["disclaimer"], *one["resources"]])

_, assessments = bundle(f"/data/predictions/{DEPRESSED}?types=mood_state&limit_checkins=2")
assert [name(one.code) for one in assessments] == ["mood_state"] * 3
_, [of_day] = bundle(f"/data/prediction_of_day/{DEPRESSED}")
assert name(of_day.code) == "mood_state" and name(of_day.prediction[0].outcome) == "depression"
# What is there in both languages is in that of the answer.
_, [of_day] = bundle(f"/data/prediction_of_day/{DEPRESSED}?lang=pt-BR")
assert of_day.prediction[0].outcome.text == "Estado de humor: depressão", of_day.prediction[0].outcome.text
# Whoever asks for FHIR waits for it.
bundle(f"/data/predictions/{DEPRESSED}?window_days=9", prefer="respond-async")

_, assessments = bundle(f"/data/predictions/{NOBODY}")
for assessment in assessments:
    [one] = assessment.prediction
    assert assessment.status == "cancelled" and one.probabilityDecimal is None and one.whenPeriod is None
    [extension] = one.probabilityDecimal__ext.extension
    assert (extension.url, extension.valueCode) == (ABSENT, "temp-unknown")
    assert one.rationale.startswith("no_checkins: ")

for path, status, code in [
    ("/data/predictions/me", 400, "invalid"),
    (f"/data/predictions/{DEPRESSED}?window_days=31", 400, "invalid"),
    (f"/data/prediction_of_day/{DEPRESSED}?types=x", 400, "invalid"),
]:
    answered, content_type, body = ask(path)
    assert (answered, content_type) == (status, "application/fhir+json"), (answered, content_type, body)
    assert [issue.code for issue in OperationOutcome.model_validate_json(body).issue] == [code]
assert ask("/data/predictions/me", accept="application/json")[1] == "application/problem+json"

# The samples of the documentation are what such systems read.
samples = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", pathlib.Path("docs/API.md").read_text(), re.S)]
samples = [sample for sample in samples if isinstance(sample, dict) and sample.get("resourceType") == "Bundle"]
assert {entry["resource"]["status"] for sample in samples for entry in sample["entry"]} == {"final", "cancelled"}, samples
for sample in samples:
    Bundle.model_validate(sample)
