"""The header compiles, the report adds up, the example says what it wrote."""

import json
import re
import subprocess

import pytest
from exported_nets import build_planned
from test_scripts import run, run_json

import keras_tinytrain as ktt
from keras_tinytrain.export.blob import read_blob


@pytest.fixture(scope="module")
def planned():
    return build_planned()


def test_the_header_holds_the_same_bytes(planned, tmp_path):
    result = ktt.export_micro(planned, tmp_path)
    text = result.header.read_text()
    data = result.blob.read_bytes()
    body = re.search(r"tinytrain_net_1\[(\d+)\] = \{(.*?)\}", text, re.DOTALL)
    assert int(body[1]) == len(data)
    assert bytes(int(n) for n in body[2].split(",")) == data
    assert max(map(len, text.splitlines())) <= 80
    defined = dict(re.findall(r"#define TINYTRAIN_NET_1_(\w+) (\d+)", text))
    assert {name: int(number) for name, number in defined.items()} == {
        "PERSISTENT_BYTES": result.persistent_bytes,
        "WORK_BYTES": result.work_bytes,
        "SAMPLE_BYTES": 4 * 8 * 8 * 8,
        "CLASSES": 10,
    }


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_compiles(language, planned, tmp_path, compiler):
    result = ktt.export_micro(planned, tmp_path)
    program = f"""
#include "{result.header.name}"
#include "{result.header.name}"
#include <stdint.h>
#include <stdio.h>
int main(void) {{
  printf("%d %d", (int)((uintptr_t)tinytrain_net_1 % 16),
         (int)sizeof(tinytrain_net_1));
  return 0;
}}
"""
    standard = {"c": "c11", "c++": "c++11"}[language]
    flags = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-std={standard}"]
    subprocess.run(
        [compiler, *flags, f"-I{tmp_path}", "-x", language, "-", "-o", "main"],
        input=program,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    output = subprocess.check_output([tmp_path / "main"], text=True)
    assert output == f"0 {result.flash_bytes}"


def test_the_report_adds_up(planned, tmp_path):
    result = ktt.export_micro(planned, tmp_path, max_way=4)
    costs = {c.name: c for c in ktt.layer_costs(planned)}
    rows = {}
    for line in result.report.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[4].replace(",", "").isdigit():
            rows[cells[0]] = [
                cells[3],
                *(int(c.replace(",", "")) for c in cells[4:]),
            ]
    names = ["expand", "depthwise", "project", "last", "head"]
    assert list(rows) == names
    # 8 x 8 positions. Kernels of 8 x 16, 9 x 16, 16 x 8, 8 x 12 weights; the
    # first trained layer passes no gradient on.
    assert rows["expand"] == ["3/16", 4 * (128 + 16), 8192, 8192 + 64 * 3 * 8]
    assert rows["depthwise"] == ["2/16", 4 * 160, 9216, 2 * 9216 + 64 * 2 * 9]
    assert rows["project"] == [
        "2/16 in, bias",
        4 * (128 + 8),
        8192,
        2 * 8192 + 64 * 2 * 8,
    ]
    assert rows["last"] == ["bias", 4 * (96 + 12), 6144, 2 * 6144]
    assert rows["head"] == ["class vectors", 0, 4 * 60, 3 * 4 * 60]
    assert result.macs_predict == sum(row[2] for row in rows.values())
    assert result.macs_step == sum(row[3] for row in rows.values())
    forward = sum(costs[name].macs for name in names[:-1])
    backward = result.macs_step - forward - 3 * 240
    assert backward == planned.plan.macs
    assert "the output of `stem`" in result.report.read_text()


def test_the_example_ends_in_one_json_line(tmp_path):
    flags = ("--net=mcunet", "--weights=none", "--budget=0.89MB")
    result, lines = run_json(
        "export_micro.py", *flags, f"--out={tmp_path / 'new'}"
    )
    assert set(result) == {
        "flash_bytes",
        "persistent_bytes",
        "work_bytes",
        "macs_step",
        "macs_predict",
    }
    # Below the paper's, which count neither head nor engine.
    memory = result["persistent_bytes"] + result["work_bytes"]
    assert 0 < memory <= 0.89 * 2**20
    blob = tmp_path / "new" / "mcunet.ttnb"
    assert result["flash_bytes"] == blob.stat().st_size
    assert 0 < result["macs_predict"] < result["macs_step"]
    assert json.loads(lines[-1]) == result
    assert len(read_blob(blob.read_bytes()).layers) == 12


def test_the_example_says_what_is_wrong(tmp_path):
    process = run("export_micro.py", "--weights=none", "--budget=1KB")
    assert process.returncode == 1
    assert "The smallest in memory takes" in process.stderr
    assert "Traceback" not in process.stderr
