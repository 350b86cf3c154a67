"""What a step makes may be larger than the memory that the program takes."""

from conftest import TARGET, Workspace, largest_memory

PIPELINE = """
project: demo
steps:
  collect:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: "https://rows.example", licence: own, legal_basis: contract, classification: internal}
  make:
    run:
      command: [/usr/bin/python3, /code/make.py]
      code: [make.py]
      inputs: {rows: rows}
      outputs: {made: {artifact: made, kind: report}}
  widen:
    sql:
      inputs: {rows: rows}
      outputs:
        wide: SELECT id, repeat(text, 64) || id AS text FROM rows
"""
MAKE = """
import os
with open("/out/made/random", "wb") as file:
    for _ in range(MEBIBYTES):
        file.write(os.urandom(1 << 20))
"""
#: What an output of any size may take beside one of next to nothing: a row group of 128 MiB, and what seals it.
MORE_KIB = 320 << 10
MEBIBYTES = 640


def peak(folder, mebibytes):
    """Run a pipeline whose outputs have so many MiB each; return the largest memory of a process in KiB."""
    folder.mkdir()
    rows = mebibytes * 1024
    files = {
        "custody.yaml": PIPELINE,
        "make.py": MAKE.replace("MEBIBYTES", str(mebibytes)),
        "rows.csv": "id,text\n" + "".join(f"{number},{'x' * 16}\n" for number in range(rows)),
    }
    workspace = Workspace(folder, files)
    workspace.run("init")
    used, code = largest_memory(TARGET / "custody", "run", cwd=workspace.folder, env=workspace.environment)
    assert code == 0
    sizes = {version["name"]: version["size"] for version in workspace.json("ls")["versions"]}
    assert all(sizes[name] >= mebibytes << 20 for name in ("demo/made@1", "demo/wide@1")), sizes
    return used


def test_an_output_is_never_whole_in_memory(tmp_path):
    small = peak(tmp_path / "small", 1)
    large = peak(tmp_path / "large", MEBIBYTES)
    assert large < small + MORE_KIB, f"{small} and {large} KiB"
