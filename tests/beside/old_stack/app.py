"""The service before this one, rebuilt as far as it matters for a comparison: FastAPI, LightGBM, Redis.

    FOLDER=target/bench REDIS_PORT=6379 CACHE=1 uvicorn app:app --workers 2 --loop uvloop

Five LightGBM models of the shape of the shipped ones (49 trees of depth 4, 75 features), features from history computed with numpy, the
three largest SHAP values in words, answers kept in Redis for 300 s. Where the old service asked Supabase, which took most of its 500 to
1000 ms, this one has the check-ins in memory.
"""

import csv
import json
import os
from datetime import date, datetime, timezone

import lightgbm
import numpy as np
import redis.asyncio as redis
from fastapi import FastAPI, Request
from fastapi.responses import Response

TYPES = ["mood_state", "relapse_risk", "suicidality_risk", "medication_adherence_risk", "sleep_disturbance_risk"]
models = {kind: lightgbm.Booster(model_file=f"{os.environ['FOLDER']}/lightgbm_small.txt") for kind in TYPES}
cache = redis.Redis(port=int(os.environ["REDIS_PORT"])) if os.environ.get("CACHE") == "1" else None
app = FastAPI()

people = {}
with open(f"{os.path.dirname(os.path.abspath(__file__))}/../../../src/checkins/demo.csv") as file:
    for row in csv.DictReader(file):
        people.setdefault(row["user_id"], []).append(row)
FIELDS = [name for name in next(iter(people.values()))[0] if name not in ("user_id", "id", "checkin_date")]
NAMES = (FIELDS + [f"{name}_mean" for name in FIELDS] + ["windowDays", "checkins", "daysSincePrevious"])[:75]


def number(value):
    return float(value) if value not in (None, "") else np.nan


def features(checkins, window_days=3):
    checkins = sorted(checkins, key=lambda checkin: checkin["checkin_date"], reverse=True)
    latest = date.fromisoformat(checkins[0]["checkin_date"][:10])
    days = [date.fromisoformat(checkin["checkin_date"][:10]) for checkin in checkins]
    history = [c for c, day in zip(checkins, days) if (latest - day).days <= window_days]
    values = np.array([[number(checkin.get(name)) for name in FIELDS] for checkin in history])
    counts = (~np.isnan(values)).sum(axis=0)
    means = np.where(counts > 0, np.nansum(values, axis=0) / np.maximum(counts, 1), np.nan)
    since = (latest - days[1]).days if len(days) > 1 else np.nan
    return np.concatenate([values[0], means, [window_days, len(history), since]])[:75].reshape(1, -1)


def predict(checkins, explain):
    row = features(checkins)
    predictions = []
    for kind, model in models.items():
        probability = float(model.predict(row)[0])
        impacts = model.predict(row, pred_contrib=True)[0][:-1]
        order = np.argsort(-np.abs(impacts))
        words = ", ".join(f"{NAMES[i]}={row[0, i]:g}" for i in order[:3])
        prediction = {"type": kind, "label": "event" if probability >= 0.5 else "no_event", "probability": probability,
                      "risk_level": "high" if probability >= 0.6 else "low", "explanation": f"Mostly: {words}"}
        if explain:
            prediction["contributions"] = [
                {"feature": NAMES[i], "value": None if np.isnan(row[0, i]) else float(row[0, i]), "impact": float(impacts[i])}
                for i in order
            ]
        predictions.append(prediction)
    return {"window_days": 3, "generated_at": datetime.now(timezone.utc).isoformat(), "predictions": predictions}


def answer(text):
    return Response(text, media_type="application/json")


@app.get("/data/predictions/{user_id}")
async def person(user_id: str, explain: bool = False):
    key = f"predictions:{user_id}:{explain}"
    if cache and (text := await cache.get(key)):
        return answer(text)
    text = json.dumps(predict(people[user_id], explain))
    if cache:
        await cache.set(key, text, ex=300)
    return answer(text)


@app.post("/data/predictions")
async def posted(request: Request):
    question = json.loads(await request.body())
    return answer(json.dumps(predict(question["checkins"], question.get("explain", False))))


@app.post("/data/predictions/batch")
async def batch(request: Request):
    questions = json.loads(await request.body())["items"]
    return answer(json.dumps([predict(one["checkins"], one.get("explain", False)) for one in questions]))
