"""The sample bill of materials against the official schema, and the schema against broken ones."""

import copy
import json
import subprocess

import pytest
from bom_schema import problems
from conftest import TARGET


@pytest.fixture(scope="module")
def sample():
    """The document that the example `bom` prints."""
    done = subprocess.run([TARGET / "examples/bom"], capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


def model(document):
    """The model's component."""
    return document["metadata"]["component"]


def component(document, reference):
    """Another component."""
    return next(part for part in document["components"] if part["bom-ref"] == reference)


def dependency(document, reference):
    """What a component depends on."""
    return next(item for item in document["dependencies"] if item["ref"] == reference)["dependsOn"]


def test_the_sample_is_valid(sample):
    assert problems(sample) == []


BREAKS = {
    "a field that the format has not": lambda d: d.update(x=1),
    "another version of the format": lambda d: d.update(specVersion="1.5"),
    "a serial number that is none": lambda d: d.update(serialNumber="urn:uuid:ABC"),
    "the revision zero": lambda d: d.update(version=0),
    "a time that is none": lambda d: d["metadata"].update(timestamp="yesterday"),
    "an unknown type of component": lambda d: model(d).update(type="model"),
    "a component without a name": lambda d: model(d).pop("name"),
    "a digest that is none": lambda d: model(d)["hashes"][0].update(content="zz"),
    "an unknown digest": lambda d: model(d)["hashes"][0].update(alg="SHA256"),
    "a licence that SPDX has not": lambda d: model(d)["licenses"][0]["license"].update(id="Apache 2"),
    "a licence with an id and a name": lambda d: model(d)["licenses"][0]["license"].update(name="x"),
    "two expressions": lambda d: component(d, "pkg:pypi/numpy@2.4.6")["licenses"].append({"expression": "MIT"}),
    "an unknown approach": lambda d: model(d)["modelCard"]["modelParameters"]["approach"].update(type="x"),
    "a figure that is no text": lambda d: model(d)["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0].update(value=0.8),
    "an unknown consideration": lambda d: model(d)["modelCard"]["considerations"].update(caveats=[]),
    "an unknown reference": lambda d: model(d)["externalReferences"][0].update(type="claim"),
    "an address that is none": lambda d: model(d)["externalReferences"][0].update(url="a b"),
    "an unknown type of data": lambda d: component(d, "a/train@2")["data"][0].update(type="table"),
    "an owner that is nobody": lambda d: component(d, "a/train@2")["data"][0]["governance"]["owners"].append({}),
    "an unknown completeness": lambda d: d["compositions"][0].update(aggregate="all"),
    "a property without a name": lambda d: model(d)["properties"].append({"value": "x"}),
    "a component twice": lambda d: d["components"].append(copy.deepcopy(d["components"][0])),
    "a reference twice": lambda d: d["components"].append({**d["components"][0], "version": "9"}),
    "a dependency twice": lambda d: dependency(d, "a/train@2").append("a/raw@1"),
    "a dependency on nothing": lambda d: dependency(d, "a/train@2").append("a/nothing@1"),
    "a dataset that is not listed": lambda d: model(d)["modelCard"]["modelParameters"]["datasets"].append({"ref": "a/nothing@1"}),
    "a composition of nothing": lambda d: d["compositions"][0]["assemblies"].append("a/nothing@1"),
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_document_is_refused(sample, broken):
    document = copy.deepcopy(sample)
    BREAKS[broken](document)
    assert problems(document) != []
