"""A worker process: imports one module of works, then does what each line of its input asks for."""

import importlib
import json
import sys
import time
import traceback
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from harness import WORK  # noqa: E402  (the path has to be set first)

sys.path.append(str(WORK))

import fold  # noqa: E402  (built by harness.peers)


def peak_kib() -> int:
    """This process's own peak: getrusage would also count the process that started it."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def serve(works: dict, line: str) -> dict:
    request = json.loads(line)
    run = works[request["work"]](request)
    fold.start()
    start, used = time.perf_counter(), time.process_time()
    count = run()
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    total, size = fold.result()
    # A work that folds no bytes answers with what it counted or the digest it made.
    text = count if isinstance(count, str) else f"{total:016x}"
    return {
        "seconds": seconds,
        "cpu": cpu,
        "fold": text,
        "bytes": size,
        "count": count if isinstance(count, int) else 0,
    }


def main() -> None:
    module = importlib.import_module(f"harness.works.{sys.argv[1]}")
    for line in sys.stdin:
        try:
            answer = serve(module.WORKS, line)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": repr(error)}
        print(json.dumps(answer | {"peak_kib": peak_kib()}), flush=True)


main()
