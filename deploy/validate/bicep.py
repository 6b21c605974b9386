"""Holds the properties in a Bicep file, their names and how they nest, against the models of Azure's SDK.

usage: bicep.py FILE
"""
import re
import sys

from azure.mgmt.authorization.v2022_04_01 import models as authorization
from azure.mgmt.storage.v2024_01_01 import models as storage
from pycep import BicepParser

MODELS = {
    "Microsoft.Storage/storageAccounts": storage.StorageAccountCreateParameters,
    "Microsoft.Storage/storageAccounts/blobServices": storage.BlobServiceProperties,
    "Microsoft.Storage/storageAccounts/blobServices/containers": storage.BlobContainer,
    "Microsoft.Storage/storageAccounts/managementPolicies": storage.ManagementPolicy,
    "Microsoft.Authorization/roleDefinitions": authorization.RoleDefinition,
    "Microsoft.Authorization/roleAssignments": authorization.RoleAssignmentCreateParameters,
}
OF_BICEP = {"parent", "name", "dependsOn", "scope"}
EXPRESSION = {"function", "operator", "loop_type"}


def named(kind):
    """The model of a name; None for other types."""
    return getattr(storage, kind, None) or getattr(authorization, kind, None)


def properties(model):
    """The types of a model's properties by their names in requests, nested."""
    tree = {}
    for attribute in model._attribute_map.values():
        *path, last = attribute["key"].split(".")
        level = tree
        for part in path:
            level = level.setdefault(part, {})
        level[last] = attribute["type"]
    return tree


def problems(template):
    """What does not fit in a template."""
    for name, resource in template["resources"].items():
        config = resource["config"]
        if "loop_type" in config:
            config = config["config"]
        config = {key: value for key, value in config.items() if key not in OF_BICEP}
        yield from problems_of(config, properties(MODELS[resource["type"]]), name)


def problems_of(value, kind, path):
    """What does not fit in a value. Its type is a tree of properties or a name."""
    if isinstance(kind, dict):
        for name, inner in value.items():
            if name in kind:
                yield from problems_of(inner, kind[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: no such property"
    elif element := re.match(r"\[(\w+)\]", kind):
        for i, inner in enumerate(value if isinstance(value, list) else ()):
            yield from problems_of(inner, element[1], f"{path}[{i}]")
    elif isinstance(value, dict):
        if kind not in ("object", "{str}") and not EXPRESSION & set(value):
            yield from problems_of_object(value, kind, path)
    elif kind == "bool" and isinstance(value, int) and not isinstance(value, bool):
        yield f"{path}: {value} is no bool"


def problems_of_object(value, kind, path):
    if hasattr(named(kind), "_attribute_map"):
        yield from problems_of(value, properties(named(kind)), path)
    else:
        yield f"{path}: an object, want {kind}"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        found = list(problems(BicepParser().parse(text=file.read())))
    for problem in found:
        print(f"{sys.argv[1]}: {problem}")
    sys.exit(bool(found))


main()
