"""What is wrong with a bill of materials, by the official schema of CycloneDX 1.6 and by what a schema cannot say."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def problems(document: dict) -> list[str]:
    """Return what is wrong with the document; nothing where it is valid."""
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document), all_errors=True)
    found = [f"{error.data.json_path}: {error.data.message}" for error in errors or ()]
    if document.get("specVersion") != "1.6":
        found.append("$.specVersion: is not 1.6")
    return found or references(document)


def references(document: dict) -> list[str]:
    """Return the references that are given twice, and those that lead nowhere."""
    given: list[str] = []
    used: list[str] = []
    collect(document, given, used)
    for item in document.get("dependencies", []):
        used += [item["ref"], *item.get("dependsOn", [])]
    for item in document.get("compositions", []):
        used += [*item.get("assemblies", []), *item.get("dependencies", [])]
    twice = sorted({name for name in given if given.count(name) > 1})
    nowhere = sorted(set(used) - set(given))
    return [f"`{name}` is given twice" for name in twice] + [f"`{name}` leads nowhere" for name in nowhere]


def collect(value: object, given: list[str], used: list[str]) -> None:
    """Collect the references that a value gives, and the datasets that model cards refer to."""
    if isinstance(value, dict):
        if "bom-ref" in value:
            given.append(value["bom-ref"])
        datasets = value.get("modelCard", {}).get("modelParameters", {}).get("datasets", [])
        used.extend(item["ref"] for item in datasets if "ref" in item)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            collect(item, given, used)
