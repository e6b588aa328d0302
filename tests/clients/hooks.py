"""What the description cannot say: a field of a check-in stands flat or in its group, and not in both."""

import schemathesis


def without_doubles(question):
    days = question.get("checkins") if isinstance(question, dict) else None
    for day in days if isinstance(days, list) else []:
        groups = [group for group in day.values() if isinstance(group, dict)] if isinstance(day, dict) else []
        for name in [name for group in groups for name in group]:
            day.pop(name, None)


@schemathesis.hook
def before_call(context, case, kwargs):
    items = case.body.get("items") if isinstance(case.body, dict) else None
    for question in items if isinstance(items, list) else [case.body]:
        without_doubles(question)
