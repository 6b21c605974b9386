"""Runs statements in DuckDB, and prints the rows of each query as JSON.

The input has statements to run, and statements whose syntax is checked: for
DuckDB with a cloud, and for Athena.
"""

import json
import sys

import duckdb
import sqlglot

page = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")  # it goes to stdout


def rows(query):
    # Not fetched: the Python values of timestamps need another package.
    connection.execute(f"COPY ({query.strip().rstrip(';')}) TO 'answer.json' (FORMAT json)")
    with open("answer.json", encoding="utf-8") as answer:
        return [json.loads(line) for line in answer]


answers = []
for text in page["run"]:
    for statement in duckdb.extract_statements(text):
        if statement.type == duckdb.StatementType.SELECT:
            answers.append(rows(statement.query))
        else:
            connection.execute(statement)
for text in page["cloud"] or []:
    duckdb.extract_statements(text)
for text in page["athena"] or []:
    for tree in sqlglot.parse(text, read="athena", error_level=sqlglot.ErrorLevel.RAISE):
        if isinstance(tree, sqlglot.exp.Command):
            sys.exit(f"not parsed: {tree.sql()}")
json.dump(answers, sys.stdout)
