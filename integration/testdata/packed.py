"""Reads a packed chain from S3 and DynamoDB, and proves its digests.

It is written from DESIGN.md alone, and shares nothing with the library. It reads a
JSON object with endpoint, region, bucket, prefix, table (of the heads; empty if they
are in the bucket) and aggregate from its input, and prints a JSON array with the
changesets."""

import base64
import hashlib
import json
import struct
import sys
import uuid

import boto3

ask = json.load(sys.stdin)
client = {"endpoint_url": ask["endpoint"], "region_name": ask["region"]}
s3 = boto3.client("s3", config=boto3.session.Config(s3={"addressing_style": "path"}), **client)
UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~"
ESCAPED = "".join(chr(c) if c in UNRESERVED else f"%{c:02X}" for c in ask["aggregate"].encode())


def b64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def require(fact, what):
    if not fact:
        sys.exit(f"not proved: {what}")


def read_head():
    """Returns the fields of the head: bytes as bytes, the tip as a list of lines."""
    if ask["table"]:
        table = boto3.client("dynamodb", **client)
        key = {"aggregate-id": {"S": ask["prefix"] + ESCAPED}}
        item = table.get_item(TableName=ask["table"], Key=key, ConsistentRead=True)["Item"]
        fields = {name: int(v["N"]) if "N" in v else v.get("S", v.get("B")) for name, v in item.items()}
        fields["tip"] = fields.get("tip", "").encode().split(b"\n")[:-1]
        return fields
    raw = s3.get_object(Bucket=ask["bucket"], Key=f"{ask['prefix']}heads/{ESCAPED}")["Body"].read()
    fields = json.loads(raw)
    for name in ("digest", "index", "packed-digest"):
        fields[name] = b64(fields.get(name, ""))
    tip, fields["tip"] = raw.partition(b'"tip":[')[2], []
    while tip and not tip.startswith(b"]"):  # the lines as they stand, since the digests cover them
        _, end = json.JSONDecoder().raw_decode(tip.decode())
        line = tip.decode()[:end].encode()
        fields["tip"].append(line)
        tip = tip[len(line) :].removeprefix(b",")
        if not tip.startswith(b"{"):
            break
    return fields


def objects_of(index, first):
    """Yields (last version, count, ID) of what an index holds, the newest first."""
    while index:
        n, index = index[0], index[1:]
        for j in reversed(range(n)):
            distance, count = struct.unpack(">IH", index[22 * j : 22 * j + 6])
            yield first - 1 - distance, count, uuid.UUID(bytes=index[22 * j + 6 : 22 * j + 22])
        index = index[22 * n :]


def digest_of(version, before, text, content):
    """The digest of format 2: each field is 1, its length and its bytes, or 0 if absent."""
    hashed = b""
    for field in (b"ropewalk/2", ask["aggregate"].encode(), before if version else None, text, hashlib.sha256(content).digest()):
        hashed += b"\0" if field is None else b"\1" + struct.pack(">I", len(field)) + field
    return hashlib.sha256(hashed).digest()


def prove(lines, version, before):
    """Returns the changesets of lines, and the digest of the last one."""
    found = []
    for line in lines:
        fields = json.loads(line)
        key = "content" if "content" in fields else "content-base64"
        content = fields["content"].encode() if key == "content" else base64.b64decode(fields["content-base64"])
        require(fields["version"] == version, f"version {version}")
        text = line[: line.rindex(f',"{key}":"'.encode())]
        before = digest_of(version, before, text, content)
        found.append({"version": version, "id": fields["id"], "digest": base64.urlsafe_b64encode(before).decode().rstrip("="), "content": base64.b64encode(content).decode()})
        version += 1
    return found, before


def read_pack(last, count, id):
    key = f"{ask['prefix']}changesets/{ESCAPED}/{last + 1 - count:020d}-{last:020d}-{id}"
    reply = s3.get_object(Bucket=ask["bucket"], Key=key)
    m, body = reply["Metadata"], reply["Body"].read()
    require(m["format"] == "2" and m["object-id"] == str(id) and m["changesets"] == str(count), key)
    require(hashlib.sha256(body).digest() == b64(m["content-sha256"]), f"the body of {key}")
    require("encoding" not in m and "recorded-at" not in m, f"{key} is plain lines")
    return m, body.split(b"\n")[:-1]


head = read_head()
end = head["aggregate-version"] + 1 - len(head["tip"])
history, last = prove(head["tip"], end, head.get("packed-digest") or b"")
require(not head["tip"] or last == head["digest"], "the digest of the head")
index, expected = head.get("index") or b"", head.get("packed-digest") or b""
while index:
    version, count, id = next(objects_of(index, end))
    require(version + 1 == end, f"the object before version {end}")
    metadata, lines = read_pack(version, count, id)
    end = version + 1 - count
    older, proved = prove(lines, end, b64(metadata.get("parent-digest", "")))
    require(proved == expected == b64(metadata["digest"]), f"the digest of version {version}")
    history, expected = older + history, b64(metadata.get("parent-digest", ""))
    index = b64(metadata.get("index", ""))
require(end == 0, "the history begins at version 0")
json.dump(history, sys.stdout)
