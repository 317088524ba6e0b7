"""What schemathesis cannot know of the admin API by its document.

How a message is written, what a refusal of well-formed fields has to say, and which answers each operation has given:
conformance.rs wants to have seen every operation succeed.
"""

import atexit
import collections
import json
import os

import schemathesis


@schemathesis.serializer("message/rfc822")
def message(ctx, value):
    """A message as it is. The example of the document is one, what is made up is hardly ever."""
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.serializer("application/wasm")
def component(ctx, value):
    """A component as it is; what is made up is none."""
    return value if isinstance(value, bytes) else str(value).encode()


# What a request is on condition of, and the key of one that is not to be done twice. Made up, they only keep every
# other operation from being done; tests of their own show what they do.
CONDITIONS = {"If-Match", "If-None-Match", "Idempotency-Key"}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Leaves them out of what is made up."""
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            parameters = operation.get("parameters", [])
            operation["parameters"] = [one for one in parameters if one.get("name") not in CONDITIONS]


@schemathesis.check
def a_refusal_names_what_is_wrong(ctx, response, case):
    """Fields that are not valid are refused by their names, in words."""
    if response.status_code != 422:
        return
    problem = response.json()
    if "reply" in problem:
        # The message was refused as SMTP would refuse it.
        return
    assert problem.get("errors"), f"nothing is named: {problem}"
    for error in problem["errors"]:
        assert error["field"] and error["detail"], f"not in words: {error}"


@schemathesis.hook
def before_call(context, case, kwargs):
    """Leaves the token of the test alone: without it everything else would be refused."""
    if case.operation.label == "DELETE /api/v1/tokens/{name}" and case.path_parameters.get("name") == "first-start":
        case.path_parameters["name"] = "another"


answers = collections.defaultdict(collections.Counter)


@schemathesis.hook
def after_call(context, case, response):
    answers[case.operation.label][str(response.status_code)] += 1


@atexit.register
def tell_answers():
    with open(os.environ["OUTPOST_ANSWERS"], "w", encoding="utf-8") as file:
        json.dump(answers, file)
