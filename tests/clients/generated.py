"""Uses the client that openapi-python-client generates: python script.py URL QUESTION. mypy checks it first."""

import json
import sys
from uuid import UUID

from generated import AuthenticatedClient
from generated.api.inference import infer, inference_model
from generated.api.models import get_models
from generated.api.predictions import (
    delete_predictions,
    get_check_ins,
    get_prediction_of_day,
    get_predictions,
    post_batch,
    post_predictions,
)
from generated.models import (
    Batch,
    CheckIn,
    Erasure,
    GetPredictionsExplain,
    InferenceAnswer,
    InferenceRequest,
    Prediction,
    PredictionSet,
    Problem,
    Question,
    Type,
)

# Beside demo data nobody looks at the token.
client = AuthenticatedClient(base_url=sys.argv[1], token="unused", raise_on_unexpected_status=True)
person = UUID("33333333-3333-4333-8333-333333333333")

types = [Type.MOOD_STATE, Type.RELAPSE_RISK]
explain = GetPredictionsExplain.TRUE
asked = get_predictions.sync(person, client=client, types=types, window_days=7, explain=explain)
assert isinstance(asked, PredictionSet), asked
assert [prediction.type_ for prediction in asked.predictions] == ["mood_state", "relapse_risk"]
assert asked.user_id == person and asked.predictions[0].label == "depression"
assert isinstance(asked.predictions[0].contributions, list)

posted = post_predictions.sync(client=client, body=Question.from_dict(json.loads(sys.argv[2])))
assert isinstance(posted, PredictionSet) and posted.window_days == 7, posted
assert [prediction.type_ for prediction in posted.predictions] == ["mood_state"]

day = CheckIn.from_dict({"checkin_date": "2026-01-31", "user_id": str(person), "id": "1"})
day.hours_slept, day.has_napped, day.medication_adherence, day.depressed_mood = 10.5, True, 0, 9
question = Question(checkins=[day], types=[Type.MOOD_STATE], explain=True, limit_checkins=1, user_id=person)
posted = post_predictions.sync(client=client, body=question)
assert isinstance(posted, PredictionSet) and posted.user_id == person, posted
assert isinstance(posted.per_checkin, list) and posted.per_checkin[0].checkin_id == "1"

batch = post_batch.sync_detailed(client=client, body=Batch(items=[question.to_dict(), {"checkins": 7}]))
answers = json.loads(batch.content)
assert answers[0]["user_id"] == str(person) and answers[1]["errors"][0]["field"] == "checkins", answers

wrong = get_predictions.sync(person, client=client, window_days=99)
assert isinstance(wrong, Problem) and isinstance(wrong.errors, list), wrong
assert wrong.errors[0].field == "window_days"

of_day = get_prediction_of_day.sync(person, client=client)
assert isinstance(of_day, Prediction) and of_day.label == "depression", of_day
assert get_check_ins.sync(person, client=client, window_days=1) is not None
assert get_models.sync(client=client) is not None

columns = 0
model = inference_model.sync_detailed("mood_state", client=client)
columns = json.loads(model.content)["inputs"][0]["shape"][1]
tensor = {"name": "input", "shape": [1, columns], "datatype": "FP64", "data": [None] * columns}
inferred = infer.sync("mood_state", client=client, body=InferenceRequest.from_dict({"inputs": [tensor]}))
assert isinstance(inferred, InferenceAnswer), inferred

receipt = delete_predictions.sync(person, client=client)
assert isinstance(receipt, Erasure), receipt
