"""Run a fuzz target until it covers nothing new of this project's source for a while: SECONDS LOG PROGRAM [OPTION...].

LOG is where its output goes; the last line then says for how long. What is new in libraries, and in generic code of
theirs, is not counted: threads that meet in the middle of their work and tables that grow give some for hours, and say
nothing about the inputs. The target prints addresses; `addr2line` says which line each is of.
"""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parent.parent / "rust/src") + "/"
# The status of a target that was interrupted, and found nothing.
INTERRUPTED = 72


def output_of(*command: str) -> str:
    """What a program says."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main(seconds: float, log: Path, command: list[str]) -> int:
    """Gives the status of the target, 0 where it was stopped because it is flat."""
    (linked,) = re.findall(r"__sancov_pcs\s+\w+\s+(\w+)", output_of("objdump", "-h", command[0]))
    target = subprocess.Popen([*command, "-print_pcs=1", "-print_funcs=0"])
    started = since = time.monotonic()
    moved, others, left = 0, 0, ""
    with log.open(errors="replace") as output:
        while target.poll() is None:
            time.sleep(5)
            text, _, left = (left + output.read()).rpartition("\n")
            if table := re.search(r"PC tables.*\[0x(\w+)", text):
                moved = int(table[1], 16) - int(linked, 16)
            if "INITED" in text:
                since = time.monotonic()
            if new := [hex(int(address, 16) - moved) for address in re.findall(r"NEW_PC: 0x(\w+)", text)]:
                lines = output_of("addr2line", "-e", command[0], *new).splitlines()
                others += sum(not line.startswith(SOURCE) for line in lines)
                if any(line.startswith(SOURCE) for line in lines):
                    since, others = time.monotonic(), 0
            now = time.monotonic()
            if now - since >= seconds:
                target.send_signal(signal.SIGINT)
                if target.wait() == INTERRUPTED:
                    print(f"flat for {now - since:.0f} of {now - started:.0f} s, {others} new edges in libraries")
                    return 0
    return target.returncode


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
