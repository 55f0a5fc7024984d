"""Runs the cases of arm_rig.py on this machine, under the address and undefined sanitizers.

Every buffer is as large as asked and not a byte larger, so that each overrun is an error. Not here:
the cases.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from mcu_hybrid import resources
from tests.support import arm_rig
from tests.support.rig import FLAGS

_MAIN = r"""
#include "cases.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(const test_case *c)
{
    const int8_t *ins[MAX_INS];
    int8_t *outs[MAX_OUTS];
    int wrong = 0;
    for (uint32_t i = 0; i < c->ins; i++) {
        int8_t *copy = malloc(c->in_bytes[i]);
        memcpy(copy, c->in[i], c->in_bytes[i]);
        ins[i] = copy;
    }
    for (uint32_t i = 0; i < c->outs; i++) {
        outs[i] = malloc(c->out_bytes[i]);
        memset(outs[i], 0x5a, c->out_bytes[i]);
    }
    void *scratch = c->scratch_bytes ? malloc(c->scratch_bytes) : NULL;
    if (scratch != NULL) {
        memset(scratch, 0x5a, c->scratch_bytes);
    }
    wrong += c->call(ins, outs, scratch) != MH_OK;
    for (uint32_t i = 0; i < c->outs; i++) {
        wrong += memcmp(outs[i], c->out[i], c->out_bytes[i]) != 0;
        free(outs[i]);
    }
    for (uint32_t i = 0; i < c->ins; i++) {
        free((void *)ins[i]);
    }
    free(scratch);
    return wrong;
}

int main(void)
{
    for (uint32_t i = 0; i < TEST_CASES; i++) {
        printf("%d\n", run(&test_cases[i]));
        fflush(stdout);
    }
    return 0;
}
"""


def run_host(
    cases: Sequence[arm_rig.ArmCase],
    folder: Path,
    kernel_dirs: Sequence[str],
    defines: Sequence[str] = (),
) -> list[str]:
    """Build and run all cases; return the names of those whose output or status is wrong."""
    sources = [*arm_rig.write_cases(cases, folder, kernel_dirs), folder / "main.c"]
    (folder / "main.c").write_text(_MAIN, "utf-8")
    program = folder / "cases"
    argv = ["gcc", *FLAGS, *defines, "-I", str(folder), "-I", str(resources.kernels() / "include")]
    compiled = subprocess.run(
        [*argv, *map(str, sources), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stderr[:4000]
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=300)
    lines = done.stdout.split()
    at = cases[len(lines)].name if len(lines) < len(cases) else ""
    assert done.returncode == 0, f"{at}: {done.stderr[:4000]}"
    return [c.name for c, line in zip(cases, lines, strict=True) if line != "0"]
