"""What schemathesis does not know of the API by itself: how files and lines are written, and what OpenAPI cannot say."""

import io
import json
import tarfile

import schemathesis
from hypothesis import strategies


def archive(files):
    """Files as a tar stream."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as stream:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            stream.addfile(info, io.BytesIO(content))
    return out.getvalue()


NAMES = strategies.from_regex(r"[a-z][a-z0-9_.]{0,20}", fullmatch=True)
schemathesis.openapi.format("account", strategies.builds("{}{}".format, strategies.sampled_from(["", "service:", "group:"]), NAMES))
# Of references half name what there is, so that what is behind the first look-up is asked too.
NAMED = strategies.sampled_from(["demo/rows@1", "demo/rows", "demo/rows@latest"])
schemathesis.openapi.format("reference", NAMED | strategies.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}/[a-z0-9][a-z0-9_-]{0,9}(@[1-9][0-9]{0,3})?", fullmatch=True))
FILES = strategies.dictionaries(NAMES, strategies.binary(max_size=200), max_size=3)
schemathesis.openapi.media_type("application/x-tar", FILES.map(archive))


@schemathesis.deserializer("application/x-ndjson")
def lines(_, response):
    """Documents, a line each."""
    return [json.loads(line) for line in response.content.splitlines()]


def whole(value):
    """To JSON Schema `1.0` is a whole number. The API says that such are written without a fraction."""
    if isinstance(value, dict):
        return {name: whole(below) for name, below in value.items()}
    if isinstance(value, list):
        return [whole(below) for below in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.hook
def map_body(_, body):
    """Write whole numbers as such."""
    return whole(body)
