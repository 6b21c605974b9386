"""A Terraform provider that has a schema and nothing else: enough to validate and to plan.

usage: provider.py SCHEMA, started by Terraform
"""
import json
import sys

import msgpack
import tf.provider
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc
from tf.runner import run_provider

NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
UNKNOWN = msgpack.ExtType(0, b"\0")


def block(described):
    return pb.Schema.Block(
        attributes=[attribute(name, a) for name, a in described["attributes"].items()],
        block_types=[nested(name, b) for name, b in described["blocks"].items()],
    )


def attribute(name, described):
    flags = {flag: described.get(flag, False) for flag in ("required", "optional", "computed")}
    return pb.Schema.Attribute(name=name, type=json.dumps(described["type"]).encode(), **flags)


def nested(name, described):
    bounds = {}
    if described["nesting"] in ("list", "set"):
        bounds = {"min_items": described["min"], "max_items": described["max"]}
    return pb.Schema.NestedBlock(
        type_name=name, block=block(described["block"]), nesting=NESTING[described["nesting"]], **bounds
    )


def filled(described, value, known):
    """The value, with what the service would compute: unknown in a plan, made up in what is read."""
    state = msgpack.unpackb(value.msgpack)
    for name, a in described["attributes"].items() if state else ():
        if not a.get("computed") or state[name] is not None or a["type"] == "dynamic":
            continue
        if not known:
            state[name] = UNKNOWN
        elif a["type"] == "string":
            state[name] = "fake-" + name
    return pb.DynamicValue(msgpack=msgpack.packb(state))


class Servicer(rpc.ProviderServicer):
    def __init__(self, _):
        with open(sys.argv[1], encoding="utf-8") as file:
            self.schema = json.load(file)

    def GetMetadata(self, request, context):
        return pb.GetMetadata.Response(
            server_capabilities=pb.ServerCapabilities(),
            resources=[pb.GetMetadata.ResourceMetadata(type_name=n) for n in self.schema["resources"]],
            data_sources=[pb.GetMetadata.DataSourceMetadata(type_name=n) for n in self.schema["datasources"]],
        )

    def GetProviderSchema(self, request, context):
        return pb.GetProviderSchema.Response(
            provider=pb.Schema(block=block(self.schema["provider"])),
            resource_schemas={n: pb.Schema(block=block(b)) for n, b in self.schema["resources"].items()},
            data_source_schemas={n: pb.Schema(block=block(b)) for n, b in self.schema["datasources"].items()},
        )

    def PlanResourceChange(self, request, context):
        described = self.schema["resources"][request.type_name]
        return pb.PlanResourceChange.Response(planned_state=filled(described, request.proposed_new_state, known=False))

    def ReadDataSource(self, request, context):
        described = self.schema["datasources"][request.type_name]
        return pb.ReadDataSource.Response(state=filled(described, request.config, known=True))

    def ValidateProviderConfig(self, request, context):
        return pb.ValidateProviderConfig.Response()

    def ConfigureProvider(self, request, context):
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(self, request, context):
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return pb.ValidateDataResourceConfig.Response()

    def GetFunctions(self, request, context):
        return pb.GetFunctions.Response()

    def StopProvider(self, request, context):
        return pb.StopProvider.Response()


tf.provider.ProviderServicer = Servicer
run_provider(None, ["provider"])
