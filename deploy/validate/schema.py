"""Makes the schema of a Terraform provider from its CDKTF package in npm, which is generated from the provider's own.

usage: schema.py PACKAGE.tgz RESOURCE... > SCHEMA

aws.json is of @cdktf/provider-aws 21.22.1, azurerm.json of @cdktf/provider-azurerm 14.23.1 (npm pack). A resource is
named by its folder in the package, such as s3-bucket; a data source's begins with "data-azurerm-" or "data-aws-".
"""
import base64
import json
import re
import sys
import tarfile

ATTRIBUTE = re.compile(
    r"// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(.*?)(?=\n  // \w+ - computed|\n  // =====|\Z)", re.S
)
IN_HCL = re.compile(
    r"^ +(\w+): \{\n\s+value: .*\n\s+isBlock: (\w+),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\",", re.M
)
SIMPLE = {"string": "string", "number": "number", "boolean": "bool"}
ELEMENTS = {
    "stringList": "string", "numberList": "number", "stringMap": "string", "numberMap": "number", "booleanMap": "bool",
}
GETTERS = {
    "getStringAttribute": "string", "getNumberAttribute": "number", "getBooleanAttribute": "bool",
    "getListAttribute": ["list", "string"], "StringMap": ["map", "string"],
}


def type_of(getter, hcl):
    """An attribute's type, by how it is written in HCL or by how it is read; "dynamic" where neither says."""
    if hcl:
        kind, storage = hcl
        if kind == "simple":
            return SIMPLE.get(storage, "dynamic")
        return [kind, ELEMENTS[storage]] if storage in ELEMENTS else "dynamic"
    return next((kind for name, kind in GETTERS.items() if name in getter), "dynamic")


class Source:
    """The TypeScript of a resource, from the source map of its JavaScript."""

    def __init__(self, package, folder):
        script = package.extractfile(f"package/lib/{folder}/index.js").read().decode()
        source_map = base64.b64decode(script.rsplit("base64,", 1)[1].strip())
        self.text = json.loads(source_map)["sourcesContent"][0]
        parts = re.split(r"^export class (\w+) extends [\w.]+ \{", self.text, flags=re.M)
        self.classes = dict(zip(parts[1::2], parts[2::2]))

    def resource(self):
        """The resource's type and block."""
        for name, body in self.classes.items():
            if kind := re.search(r'static readonly tfResourceType = "(\w+)"', body):
                return kind[1], self.block(name, body.partition("synthesizeHclAttributes")[2])
        raise ValueError("no resource")

    def block(self, name, hcl_text):
        hcl = {n: (is_block == "true", kind, storage) for n, is_block, kind, storage in IN_HCL.findall(hcl_text)}
        attributes = ATTRIBUTE.findall(self.classes.get(name, ""))
        attributes = attributes or [(n, "false", "true", "false", "") for n in hcl]  # of a provider
        block = {"attributes": {}, "blocks": {}}
        for n, computed, optional, required, getter in sorted(attributes):
            is_block, *shape = hcl.get(n, (False,))
            if is_block:
                block["blocks"][n] = self.nested(*shape, required == "true", getter)
                continue
            flags = {"required": required, "optional": optional, "computed": computed}
            flags = {flag: True for flag, value in flags.items() if value == "true"} or {"optional": True}
            if "required" in flags:
                flags.pop("optional", None)
            block["attributes"][n] = {"type": type_of(getter, shape), **flags}
        return block

    def nested(self, kind, storage, required, getter):
        struct = storage.removesuffix("List") if kind in ("list", "set") else storage
        function = struct[0].lower() + struct[1:] + "ToHclTerraform"
        hcl = re.search(rf"^export function {function}\(.*?^\}}", self.text, re.S | re.M)
        single = f"new {struct}OutputReference(" in getter and kind != "struct"
        return {
            "nesting": kind if kind in ("list", "set", "map") else "single", "min": int(required), "max": int(single),
            "block": self.block(struct + "OutputReference", hcl[0]),
        }


def text(value, indent=""):
    """JSON with one attribute a line."""
    if not isinstance(value, dict) or not any(isinstance(inner, dict) for inner in value.values()):
        return json.dumps(value)
    lines = [f"{indent} {json.dumps(name)}: {text(inner, indent + ' ')}" for name, inner in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def main():
    schema = {"provider": None, "resources": {}, "datasources": {}}
    with tarfile.open(sys.argv[1]) as package:
        schema["provider"] = Source(package, "provider").resource()[1]
        for folder in sys.argv[2:]:
            kind, block = Source(package, folder).resource()
            schema["datasources" if folder.startswith("data-") else "resources"][kind] = block
    print(text(schema))


main()
